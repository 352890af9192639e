"""The part of a picture around a mask, and its way to the model and back."""

import numpy
import pytest
from PIL import Image

from stable_diffusion.masked_area import MaskedArea


def box_mask(size: tuple[int, int], left: int, top: int, right: int, bottom: int) -> Image.Image:
    mask = Image.new("L", size)
    mask.paste(255, (left, top, right, bottom))
    return mask


@pytest.mark.parametrize(
    ("box", "padding", "expected"),
    [
        ((40, 40, 60, 50), 0, (40, 40, 60, 50)),  # the aspect already
        ((40, 40, 50, 50), 0, (35, 40, 55, 50)),
        ((40, 20, 60, 22), 0, (40, 16, 60, 26)),
        ((0, 0, 10, 10), 0, (0, 0, 20, 10)),
        ((195, 90, 200, 100), 0, (180, 90, 200, 100)),
        ((100, 50, 110, 55), 10, (80, 40, 130, 65)),
        ((0, 0, 200, 100), 50, (0, 0, 200, 100)),
        ((0, 0, 0, 0), 5, (0, 0, 200, 100)),
    ],
)
def test_the_part_has_the_aspect_of_what_is_generated(
    box: tuple[int, int, int, int], padding: int, expected: tuple[int, int, int, int]
) -> None:
    area = MaskedArea.around(box_mask((200, 100), *box), padding, (128, 64))
    assert (area.box, area.window) == (expected, (0, 0, 128, 64))
    left, top, right, bottom = area.box
    assert abs((right - left) - 2 * (bottom - top)) <= 2
    assert (max(0, box[0] - padding) >= left) and (max(0, box[1] - padding) >= top)
    assert (min(200, box[2] + padding) <= right) and (min(100, box[3] + padding) <= bottom)


@pytest.mark.parametrize(
    ("masked", "size", "box", "window"),
    [
        # from edge to edge of a wide picture, for a square one
        ((0, 40, 200, 60), (64, 64), (0, 0, 200, 100), (0, 16, 64, 48)),
        ((40, 20, 190, 30), (64, 64), (40, 0, 190, 100), (0, 10, 64, 53)),
        # from top to bottom, for a wider one
        ((90, 0, 110, 100), (256, 64), (0, 0, 200, 100), (64, 0, 192, 64)),
    ],
)
def test_what_a_picture_is_too_small_for_repeats_its_edges(
    masked: tuple[int, int, int, int],
    size: tuple[int, int],
    box: tuple[int, int, int, int],
    window: tuple[int, int, int, int],
) -> None:
    """Instead of being stretched: what the model sees has the picture's proportions."""
    picture = Image.linear_gradient("L").resize((200, 100)).convert("RGB")
    mask = box_mask((200, 100), *masked)
    area = MaskedArea.around(mask, 0, size)
    assert (area.box, area.window) == (box, window)
    part, part_mask = area.image(picture), area.mask(mask)
    assert part.size == part_mask.size == size
    left, top, right, bottom = window
    pixels, inner = numpy.asarray(part), numpy.asarray(part.crop(window))
    assert (pixels[:top] == pixels[top]).all()
    assert (pixels[:, :left] == pixels[:, left : left + 1]).all()
    assert inner.shape[:2] == (bottom - top, right - left)
    around = numpy.asarray(part_mask).copy()
    around[top:bottom, left:right] = 0
    assert not around.any()


@pytest.mark.parametrize("size", [(512, 512), (64, 64), (128, 512)])
@pytest.mark.parametrize("scale", [1, 0.25])
def test_a_part_comes_back_to_its_place(size: tuple[int, int], scale: float) -> None:
    ramps = numpy.mgrid[0:320, 0:480]
    pixels = numpy.stack([ramps[0] / 320, ramps[1] / 480, 0 * ramps[0]], -1) * 255
    picture = Image.fromarray(pixels.astype(numpy.uint8))
    area = MaskedArea.around(box_mask(picture.size, 100, 40, 300, 90), 16, size)
    small = picture.resize((round(480 * scale), round(320 * scale)), Image.Resampling.BOX)
    generated = area.image(picture).resize((size[0] // 2, size[1] // 2), Image.Resampling.BOX)
    left, top, right, bottom = (round(scale * edge) for edge in area.box)
    empty = small.copy()
    empty.paste("blue", (left, top, right, bottom))
    back = area.put_back(generated, empty, scale)
    assert numpy.abs(numpy.asarray(back, int) - numpy.asarray(small, int)).mean() < 2
