"""Between pictures people see and the tensors networks take."""

import numpy
import torch
from PIL import Image, ImageOps
from torch import Tensor


def to_tensor(image: Image.Image) -> Tensor:
    """An RGB picture → (3, height, width) float32 in -1..1."""
    pixels = numpy.asarray(image.convert("RGB"), dtype=numpy.float32)
    return torch.from_numpy(pixels / 127.5 - 1).permute(2, 0, 1)


def to_image(tensor: Tensor) -> Image.Image:
    """(3, height, width) in -1..1, clipped → an RGB picture."""
    pixels = ((tensor.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy(), "RGB")


def fit(image: Image.Image, width: int, height: int) -> Image.Image:
    """The picture as upright RGB of width x height pixels.

    Turned as its EXIF says, transparency laid on white, cropped at the longer side around the
    centre rather than squeezed, resampled with Lanczos.
    """
    upright = ImageOps.exif_transpose(image)
    if upright.mode in ("I;16", "I;16B", "I", "F"):
        # Pillow clips these at 255 instead of scaling them
        values = numpy.asarray(upright, dtype=numpy.float64)
        top = 65535.0 if values.max(initial=0) > 255 else 255.0
        upright = Image.fromarray((values / top * 255).clip(0, 255).astype(numpy.uint8))
    if upright.has_transparency_data:
        layer = upright.convert("RGBA")
        paper = Image.new("RGBA", layer.size, "white")
        upright = Image.alpha_composite(paper, layer)
    return ImageOps.fit(upright.convert("RGB"), (width, height), Image.Resampling.LANCZOS)
