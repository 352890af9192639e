"""The images that a job starts from, by role, as the API left them in the store."""

import io

from PIL import Image

from jobs.inputs import InputRole
from jobs.request import AnyRequest
from jobs.store import PictureStore
from worker.errors import BadInputImage

Inputs = dict[InputRole, Image.Image]


def read_inputs(request: AnyRequest, store: PictureStore, job_id: str) -> Inputs:
    """The image of every input role of the request, of any size.

    Raises:
        NoSuchPicture: one is missing.
        BadInputImage: one cannot be decoded.
    """
    return {role: open_input(role, store.read_input(job_id, role)) for role in request.inputs}


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
