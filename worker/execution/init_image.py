"""The picture that an img2img job starts from, as the API left it in the store."""

import io

from PIL import Image

from worker.errors import BadInitImage


def open_init_image(data: bytes) -> Image.Image:
    """The picture that the API stored as PNG. Raises BadInitImage when it cannot be opened."""
    try:
        image = Image.open(io.BytesIO(data), formats=["PNG"])
        image.load()
    except MemoryError:
        raise
    except Exception as error:
        raise BadInitImage("the init image is damaged: save it anew, and send that") from error
    return image
