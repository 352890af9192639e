"""Masks of `webuiapi`, against the whole service with the shipped model."""

from typing import Any

import numpy
import pytest
from PIL import Image, ImageDraw, ImageOps

pytestmark = pytest.mark.service

SIDE = 192


def photo(size: tuple[int, int] = (SIDE, SIDE)) -> Image.Image:
    """A gradient with fine noise, of which an autoencoder keeps no pixel."""
    noise = numpy.random.default_rng(1).integers(0, 256, (size[1], size[0]), numpy.uint8)
    gradient = Image.linear_gradient("L").resize(size)
    return Image.merge("RGB", (gradient, Image.fromarray(noise), gradient))


def disc(size: tuple[int, int], box: tuple[int, int, int, int]) -> Image.Image:
    """A mask of one disc."""
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).ellipse(box, fill=255)
    return mask


def repainted(webui: Any, picture: Image.Image, mask: Image.Image, **more: Any) -> Image.Image:
    """The result of a request without warnings."""
    body = {"seed": 5, "width": SIDE, "height": SIDE, "mask_blur": 0, "inpainting_fill": 1} | more
    result = webui.img2img(images=[picture], mask_image=mask, prompt="a red cat", **body)
    assert result.info["warnings"] == []
    return result.image.convert("RGB")


def changed(one: Image.Image, other: Image.Image) -> numpy.ndarray[Any, Any]:
    """Where two pictures differ, (height, width) bool."""
    return (numpy.asarray(one) != numpy.asarray(other)).any(-1)


def test_each_fill_repaints_the_mask_and_nothing_else(webui: Any) -> None:
    mask = disc((SIDE, SIDE), (60, 60, 140, 140))
    inside = numpy.asarray(mask) > 0

    fills = [
        repainted(webui, photo(), mask, inpainting_fill=fill, inpaint_full_res=False)
        for fill in range(4)
    ]

    for result in fills:
        assert changed(result, photo())[inside].mean() > 0.95
        assert not changed(result, photo())[~inside].any()
    assert len({result.tobytes() for result in fills}) == 4


def test_a_large_photo_keeps_its_size_and_what_is_not_masked(webui: Any) -> None:
    size = (1000, 700)
    mask = disc(size, (600, 300, 700, 380))
    inside = numpy.asarray(mask) > 0

    result = repainted(webui, photo(size), mask, inpaint_full_res_padding=32)

    assert result.size == size
    assert changed(result, photo(size))[inside].mean() > 0.95
    assert not changed(result, photo(size))[~inside].any()


def test_a_blurred_mask_ends_and_an_inverted_one_is_its_opposite(webui: Any) -> None:
    mask = disc((SIDE, SIDE), (60, 60, 140, 140))

    soft = repainted(webui, photo(), mask, inpaint_full_res=False, mask_blur=4)
    inverted = repainted(
        webui, photo(), ImageOps.invert(mask), inpaint_full_res=False, inpainting_mask_invert=1
    )
    plain = repainted(webui, photo(), mask, inpaint_full_res=False)

    edge, outside = changed(soft, photo()), changed(soft, photo())
    edge[60:140, 60:140] = False
    assert edge.any()
    outside[50:151, 50:151] = False
    assert not outside.any()
    assert inverted.tobytes() == plain.tobytes()
