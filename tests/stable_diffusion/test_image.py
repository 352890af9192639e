"""Pictures in and out: whatever people send becomes upright RGB of the right size."""

import io

import numpy
import pytest
import torch
from PIL import Image

from stable_diffusion.image import fit, to_image, to_tensor


def test_a_picture_survives_the_way_to_a_tensor_and_back() -> None:
    noise = numpy.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=numpy.uint8)
    image = Image.fromarray(noise)
    tensor = to_tensor(image)
    assert tensor.shape == (3, 16, 24)
    assert tensor.min() >= -1
    assert tensor.max() <= 1
    assert numpy.array_equal(numpy.asarray(to_image(tensor)), noise)


def test_values_beyond_black_and_white_are_clipped() -> None:
    image = to_image(torch.full((3, 8, 8), 3.0))
    assert image.getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_every_kind_of_picture_becomes_rgb_of_the_size_asked_for(mode: str) -> None:
    assert fit(Image.new(mode, (30, 20)), 64, 32).size == (64, 32)
    assert fit(Image.new(mode, (1, 1)), 64, 32).mode == "RGB"


def test_a_picture_is_cropped_not_squeezed() -> None:
    wide = Image.new("RGB", (300, 100), "red")
    wide.paste("blue", (100, 0, 200, 100))
    pixels = numpy.asarray(fit(wide, 64, 64))[:, 3:-3]
    assert (pixels == (0, 0, 255)).all()


def test_transparency_is_laid_on_white() -> None:
    clear = Image.new("RGBA", (16, 16), (255, 0, 0, 0))
    assert fit(clear, 16, 16).getpixel((8, 8)) == (255, 255, 255)


def test_a_photo_held_sideways_is_turned_upright() -> None:
    photo = Image.new("RGB", (20, 40), "red")
    photo.paste("blue", (0, 0, 20, 20))
    exif = photo.getexif()
    exif[0x0112] = 3  # upside down

    file = io.BytesIO()
    photo.save(file, "JPEG", exif=exif, quality=95)
    upright = fit(Image.open(file), 20, 40)
    red, _green, blue = upright.getpixel((10, 35))  # type: ignore[misc]
    assert blue > 200 > red
