"""A picture of any wanted size is generated at one that the model was made for."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.drawing_size import drawing_size
from jobs.limits import Limits

WIDE = Limits(max_side=1024, max_side_768=1536)


@pytest.mark.parametrize(
    ("wanted", "native", "drawn"),
    [
        ((1024, 1024), 512, (512, 512)),
        ((256, 256), 512, (512, 512)),
        ((1792, 1024), 512, (680, 384)),
        ((500, 500), 512, (512, 512)),
        ((1024, 1536), 768, (624, 944)),
        ((4096, 64), 512, (1024, 64)),
        ((64, 4096), 512, (64, 1024)),
        ((1, 1), 512, (512, 512)),
    ],
)
def test_other_sizes_are_drawn_at_the_model_s_and_brought_to_size(
    wanted: tuple[int, int], native: int, drawn: tuple[int, int]
) -> None:
    size = drawing_size(*wanted, native_size=native, limits=WIDE)
    assert (size.width, size.height) == drawn
    assert size.output == wanted
    assert size.warning
    for one in (drawn, wanted):
        assert f"{one[0]}×{one[1]}" in size.warning


@pytest.mark.parametrize("wanted", [(512, 512), (512, 768), (768, 512), (384, 384), (1024, 512)])
def test_sizes_near_the_model_s_are_drawn_as_they_are(wanted: tuple[int, int]) -> None:
    size = drawing_size(*wanted, native_size=512, limits=WIDE)
    assert (size.width, size.height) == wanted
    assert size.output is None
    assert size.warning is None


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ((1032, 512), "1024 pixels at most"),
        ((512, 56), "64 pixels at least"),
        ((516, 512), "multiples of 8"),
        ((128, 128), "512×512"),
    ],
)
def test_the_warning_says_why(wanted: tuple[int, int], why: str) -> None:
    size = drawing_size(*wanted, native_size=512, limits=WIDE)
    assert size.warning
    assert why in size.warning


@given(
    width=st.integers(1, 10_000),
    height=st.integers(1, 10_000),
    native_size=st.sampled_from([64, 256, 512, 768, 1024]),
    max_side=st.integers(64, 2048),
)
def test_every_size_can_be_drawn_and_keeps_its_aspect(
    width: int, height: int, native_size: int, max_side: int
) -> None:
    limits = Limits(max_side=max_side, max_side_768=max_side, max_side_1024=max_side)
    size = drawing_size(width, height, native_size=native_size, limits=limits)
    sides = size.width, size.height
    assert all(side % 8 == 0 and 64 <= side <= max_side for side in sides)
    assert (size.output or sides) == (width, height)
    assert (size.output is None) == (size.warning is None) == (sides == (width, height))
    if size.output is None:
        return
    # the aspect is that of the wanted size, to half a step at each side, unless a side is the least
    if min(sides) > 64 and max(sides) + 8 <= max_side:
        ideal = native_size * math.sqrt(width / height), native_size * math.sqrt(height / width)
        assert all(abs(side - best) <= 4 for side, best in zip(sides, ideal, strict=True))
    elif min(sides) > 64:
        assert size.width * height == pytest.approx(
            size.height * width, abs=8 * max(width, height) + 8 * max(size.width, size.height)
        )
    # again the same: what is drawn needs no other size
    again = drawing_size(size.width, size.height, native_size=native_size, limits=limits)
    assert again.output is None or max(sides) + 8 > max_side or 64 in sides
