"""Pictures of an exact size: how they are doubled, cropped and resampled, and what they show."""

import numpy
import pytest
import torch
from PIL import Image, ImageOps

from stable_diffusion.image import fit
from stable_diffusion.tiny import UPSCALER_PATH
from stable_diffusion.upscaling import exact_size
from stable_diffusion.upscaling.exact_size import doublings, to_size
from stable_diffusion.upscaling.upscale import doubled, load_upscaler

LANCZOS = Image.Resampling.LANCZOS


class Doubling:
    """Doubles with Lanczos, and keeps what it was asked for."""

    def __init__(self) -> None:
        self.sizes: list[tuple[int, int]] = []
        self.parts: list[tuple[float, float]] = []

    def __call__(self, image: Image.Image, start: float, end: float) -> Image.Image:
        self.sizes.append(image.size)
        self.parts.append((start, end))
        return image.resize((2 * image.width, 2 * image.height), LANCZOS)


def photo(width: int, height: int) -> Image.Image:
    pixels = numpy.random.default_rng(1).integers(0, 256, (7, 9, 3), dtype=numpy.uint8)
    return Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)


def difference(one: Image.Image, other: Image.Image) -> numpy.ndarray:
    return abs(numpy.asarray(one, int) - numpy.asarray(other, int))


@pytest.mark.parametrize(
    ("size", "wanted", "count"),
    [
        ((64, 64), (64, 64), 0),
        ((64, 64), (40, 64), 0),
        ((64, 64), (128, 128), 1),
        ((64, 64), (129, 128), 2),
        ((64, 64), (512, 512), 3),
        ((64, 64), (128, 64), 1),
        ((48, 64), (4096, 64), 7),
    ],
)
def test_an_image_is_doubled_as_often_as_needed(
    size: tuple[int, int], wanted: tuple[int, int], count: int
) -> None:
    double = Doubling()
    assert doublings(size, *wanted) == count
    assert to_size(photo(*size), *wanted, double).size == wanted
    assert (len(double.sizes) >= count) if count else not double.sizes


def test_what_is_not_shown_is_not_doubled() -> None:
    double = Doubling()
    to_size(photo(60, 90), 120, 120, double)
    assert double.sizes == [(60, 60)]


def test_an_image_that_is_large_enough_is_fitted_as_everywhere() -> None:
    image = photo(90, 70)
    assert to_size(image, 64, 70, Doubling()).tobytes() == fit(image, 64, 70).tobytes()


@pytest.mark.parametrize("wanted", [(180, 140), (301, 333), (333, 128), (1023, 700)])
def test_windows_show_what_the_whole_image_would(
    monkeypatch: pytest.MonkeyPatch, wanted: tuple[int, int]
) -> None:
    image = photo(90, 70)
    whole = to_size(image, *wanted, Doubling())
    monkeypatch.setattr(exact_size, "WINDOW", 64)
    double = Doubling()
    # each doubling may round differently
    assert difference(to_size(image, *wanted, double), whole).max() <= 2
    assert max(max(size) for size in double.sizes) <= 64 + 2 * exact_size.CONTEXT + 4
    assert double.parts[0][0] == 0
    assert double.parts[-1][1] == pytest.approx(1)
    starts, ends = zip(*double.parts, strict=True)
    assert starts[1:] == pytest.approx(ends[:-1])


def test_the_network_leaves_no_seams_and_keeps_what_the_picture_shows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.set_num_threads(1)
    upscaler = load_upscaler(UPSCALER_PATH)
    image = photo(96, 80)

    def double(window: Image.Image, start: float, end: float) -> Image.Image:
        return doubled(upscaler, window)

    whole = to_size(image, 250, 250, double)
    monkeypatch.setattr(exact_size, "WINDOW", 128)
    assert difference(to_size(image, 250, 250, double), whole).max() <= 2
    shown = ImageOps.fit(image, (80, 80), LANCZOS)
    assert difference(whole.resize((80, 80), LANCZOS), shown).mean() < 2
