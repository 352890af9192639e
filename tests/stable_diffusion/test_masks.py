"""Masks as images: their blur, and what fills them."""

import numpy
import pytest
from PIL import Image, ImageDraw

from stable_diffusion.image import fit
from stable_diffusion.masks import blurred, filled, fit_mask, resized_mask


def box_mask(size: tuple[int, int], left: int, top: int, right: int, bottom: int) -> Image.Image:
    mask = Image.new("L", size)
    mask.paste(255, (left, top, right, bottom))
    return mask


@pytest.mark.parametrize(("sigma", "reach"), [(0, 0), (0.1, 0), (1, 3), (4, 10), (6.5, 16)])
def test_a_blur_is_a_gaussian_that_ends(sigma: float, reach: int) -> None:
    mask = box_mask((100, 80), 50, 0, 100, 80)
    row = numpy.asarray(blurred(mask, sigma), int)[40]
    assert (row[: 50 - reach] == 0).all()
    assert (row[50 + reach :] == 255).all()
    if reach:
        assert (numpy.diff(row) >= 0).all()
        slope = numpy.diff(row / 255)
        places = numpy.arange(len(slope))
        mean = (slope * places).sum()
        assert numpy.sqrt((slope * (places - mean) ** 2).sum()) == pytest.approx(sigma, rel=0.1)


def test_a_blur_is_the_same_in_both_directions_and_at_the_edges() -> None:
    mask = box_mask((60, 60), 0, 0, 60, 30)
    upright = numpy.asarray(blurred(mask, 5))
    assert (upright == upright[:, :1]).all()
    turned = numpy.asarray(blurred(mask.transpose(Image.Transpose.TRANSPOSE), 5))
    assert (turned == upright.T).all()


def test_a_blur_far_from_the_edges_is_the_same_anywhere() -> None:
    blur = [
        numpy.asarray(blurred(box_mask((200, 90), left, top, left + 20, top + 9), 3), int)
        for left, top in ((30, 30), (120, 50))
    ]
    assert (numpy.roll(blur[0], (20, 90), (0, 1)) == blur[1]).all()


def test_what_is_masked_is_filled_with_its_surroundings() -> None:
    image = Image.new("RGB", (128, 128), (200, 40, 40))
    image.paste((40, 40, 200), (64, 0, 128, 128))
    mask = box_mask(image.size, 32, 32, 96, 96)
    image.paste("white", (32, 32, 96, 96))
    pixels = numpy.asarray(filled(image, mask), int)
    assert (pixels[:32] == numpy.asarray(image)[:32]).all()
    red, blue = pixels[64, 36], pixels[64, 92]
    assert red[0] > red[2]
    assert blue[2] > blue[0]
    assert (pixels[32:96, 32:96, 1] < 80).all()


def test_a_mask_is_cropped_as_its_image_is() -> None:
    image = Image.new("RGB", (300, 100))
    ImageDraw.Draw(image).rectangle((120, 20, 179, 79), fill="white")
    mask = image.convert("L")
    fitted = numpy.asarray(fit(image, 64, 64).convert("L"), int)
    assert numpy.abs(fitted - numpy.asarray(fit_mask(mask, 64, 64), int)).mean() < 5
    doubled = resized_mask(mask.convert("RGB"), (600, 200))
    assert set(numpy.unique(numpy.asarray(doubled))) == {0, 255}
