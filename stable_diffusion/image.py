"""Conversion between images and the tensors of networks."""

import numpy
import torch
from PIL import Image, ImageOps
from torch import Tensor


def to_tensor(image: Image.Image) -> Tensor:
    """An RGB image → (3, height, width) float32 in -1..1."""
    pixels = numpy.asarray(image.convert("RGB"), dtype=numpy.float32)
    return torch.from_numpy(pixels / 127.5 - 1).permute(2, 0, 1)


def to_image(tensor: Tensor) -> Image.Image:
    """(3, height, width) in -1..1, clipped → an RGB image."""
    pixels = ((tensor.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy(), "RGB")


def fit(image: Image.Image, width: int, height: int) -> Image.Image:
    """The image as upright RGB of width x height pixels.

    It is rotated as its EXIF data says, transparency becomes white, the longer side is cropped
    around the centre, and the result is resampled with Lanczos.
    """
    upright = ImageOps.exif_transpose(image)
    if upright.mode in ("I;16", "I;16B", "I", "F"):
        # Pillow clips these modes at 255 instead of scaling them
        values = numpy.asarray(upright, dtype=numpy.float64)
        top = 65535.0 if values.max(initial=0) > 255 else 255.0
        upright = Image.fromarray((values / top * 255).clip(0, 255).astype(numpy.uint8))
    if upright.has_transparency_data:
        layer = upright.convert("RGBA")
        background = Image.new("RGBA", layer.size, "white")
        upright = Image.alpha_composite(background, layer)
    return ImageOps.fit(upright.convert("RGB"), (width, height), Image.Resampling.LANCZOS)
