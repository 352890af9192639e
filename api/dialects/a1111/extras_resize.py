"""The size that "Extras" wants of a picture, and the upscalers that need no network."""

import io

from PIL import Image, ImageOps

from api.dialects.a1111.caller_options import CallerOptions
from api.dialects.a1111.fields import Values
from jobs.errors import Fault, InvalidRequest
from jobs.limits import MAX_OUTPUT_SIDE
from jobs.pictures.decoding import decoding
from jobs.pictures.output_formats import OUTPUT_FORMATS, encode

RESAMPLINGS = {"Lanczos": Image.Resampling.LANCZOS, "Nearest": Image.Resampling.NEAREST}


def wanted_size(values: Values, width: int, height: int, least: int = 1) -> tuple[int, int]:
    """Width and height of the result, before it is cropped, for a picture of this size.

    Raises:
        InvalidRequest: a side would have more than MAX_OUTPUT_SIDE pixels, or fewer than `least`.
    """
    if values["resize_mode"] == 0:
        field, scale = "upscaling_resize", values["upscaling_resize"]
    else:
        target = values["upscaling_resize_w"], values["upscaling_resize_h"]
        scale = max(target[0] / width, target[1] / height)
        field = "upscaling_resize_w" if scale * height == target[1] else "upscaling_resize_h"
    size = round(width * scale), round(height * scale)
    if not least <= min(size) <= max(size) <= MAX_OUTPUT_SIDE:
        raise InvalidRequest(
            (
                Fault(
                    field=field,
                    code="range",
                    value=values[field],
                    problem=f"would make a picture of {size[0]}×{size[1]} pixels",
                    expected=f"sides of {least} up to {MAX_OUTPUT_SIDE} pixels",
                ),
            )
        )
    return size


def cropped(png: bytes, values: Values) -> bytes:
    """The picture cut to the aspect of the result, if it is to have exactly that size."""
    if values["resize_mode"] == 0 or not values["upscaling_crop"]:
        return png
    image = Image.open(io.BytesIO(png))
    target = values["upscaling_resize_w"], values["upscaling_resize_h"]
    aspect = target[0] / target[1]
    size = (
        max(1, min(image.width, round(image.height * aspect))),
        max(1, min(image.height, round(image.width / aspect))),
    )
    if size == image.size:
        return png
    with decoding.room(image.width * image.height):
        return encode(ImageOps.fit(image, size), "png", "")


def resampled(
    png: bytes, size: tuple[int, int], upscaler: str, infotext: str, options: CallerOptions
) -> bytes:
    """The file of the picture at another size; a PNG, if their format cannot hold it.

    Args:
        upscaler: a name of RESAMPLINGS; of no matter if the picture has that size.
        infotext: is stored in the result.
        options: have the format of the file.
    """
    image = Image.open(io.BytesIO(png))
    with decoding.room(max(image.width * image.height, size[0] * size[1])):
        if size != image.size:
            image = image.resize(size, RESAMPLINGS[upscaler])
        picture_format = options.samples_format
        if max(size) > OUTPUT_FORMATS[picture_format].max_side:
            picture_format = "png"
        return encode(image, picture_format, infotext, options.jpeg_quality)
