"""The images that a job starts from, by role, as the API left them in the store."""

import io

from PIL import Image, ImageChops

from jobs.pictures.inputs import InputRole
from jobs.pictures.store import PictureStore
from jobs.validation.request import AnyRequest, ImageToImage
from stable_diffusion.masks import resized_mask
from worker.errors import BadInputImage

Inputs = dict[InputRole, Image.Image]


def read_inputs(request: AnyRequest, store: PictureStore, job_id: str) -> Inputs:
    """The image of every input role of the request, of any size.

    All forms of a mask are one here: `mask` has the size of `init`, and is white (mode L) where the
    image is generated anew.

    Raises:
        NoSuchPicture: one is missing.
        BadInputImage: one cannot be decoded.
    """
    inputs: Inputs = {
        role: open_input(role, store.read_input(job_id, role)) for role in request.inputs
    }
    return _with_mask(request, inputs) if isinstance(request, ImageToImage) else inputs


def open_input(role: InputRole, data: bytes) -> Image.Image:
    """Decode a PNG that the API stored. Raises BadInputImage."""
    try:
        image = Image.open(io.BytesIO(data), formats=["PNG"])
        image.load()
    except MemoryError:
        raise
    except Exception as error:
        raise BadInputImage(
            f"the {role} image is damaged: save it again and send the new file"
        ) from error
    return image


def _with_mask(request: ImageToImage, inputs: Inputs) -> Inputs:
    init, mask = inputs["init"], inputs.get("mask")
    if request.mask_from_alpha and "A" in init.getbands():
        mask = ImageChops.invert(init.getchannel("A"))
        init = init.convert("RGB")
    if mask is None:
        return inputs
    mask = resized_mask(mask, init.size)
    return {"init": init, "mask": ImageChops.invert(mask) if request.mask_invert else mask}
