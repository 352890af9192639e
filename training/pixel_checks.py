"""Checks pictures by their pixels: colours of object and background, at any position."""

import numpy
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from training.scenes import COLOURS

Mask = NDArray[numpy.bool_]
_NAMES = tuple(COLOURS)
_PALETTE = numpy.array([COLOURS[name] for name in _NAMES], dtype=numpy.float32)
WORKING_SIDE = 128  # the shorter side, in pixels, at which pictures are checked
BORDER = 5
# Colours of a scenery, from top to bottom, as shares of the height and RGB.
_SCENERY_BANDS = {
    "beach": ((0.05, 0.4, (165, 216, 247)), (0.75, 0.98, (238, 204, 138))),
    "night": ((0.02, 0.98, (42, 46, 86)),),
    "grass": ((0.05, 0.45, (185, 226, 250)), (0.7, 0.98, (113, 187, 84))),
}
SCENERY_TOLERANCE = 60.0
# In drawings a house's roof, in a shade that may be nearest to another colour, covers up to 1.06
# times the area of its walls.
MIN_COLOUR_RATIO = 0.8


def pixels(image: Image.Image) -> NDArray[numpy.float32]:
    """The picture at the working size, (height, width, 3) in 0..255."""
    width, height = image.size
    scale = WORKING_SIDE / min(width, height)
    size = (round(width * scale), round(height * scale))
    return numpy.asarray(image.convert("RGB").resize(size, Image.Resampling.BOX), numpy.float32)


def nearest_colour(rgb: NDArray[numpy.float32]) -> NDArray[numpy.intp]:
    """Index of the nearest palette colour of each (…, 3) pixel."""
    return numpy.linalg.norm(rgb[..., None, :] - _PALETTE, axis=-1).argmin(-1)


def _border(values: NDArray[numpy.float32]) -> NDArray[numpy.float32]:
    edge = numpy.ones(values.shape[:2], bool)
    edge[BORDER:-BORDER, BORDER:-BORDER] = False
    return values[edge]


def plain_background(image: Image.Image) -> str | None:
    """Colour of the border, if three quarters of it agree."""
    counts = numpy.bincount(nearest_colour(_border(pixels(image))), minlength=len(_NAMES))
    return _NAMES[counts.argmax()] if counts.max() >= 0.75 * counts.sum() else None


def shows_scenery(image: Image.Image, name: str) -> bool:
    """Whether the left and right edges hold the scenery's colours, band by band."""
    values = pixels(image)
    height = len(values)
    for top, bottom, rgb in _SCENERY_BANDS[name]:
        band = values[round(top * height) : round(bottom * height)]
        sides = numpy.concatenate([band[:, :12], band[:, -12:]], axis=1).reshape(-1, 3)
        near = numpy.linalg.norm(sides - numpy.array(rgb), axis=1) < SCENERY_TOLERANCE
        if near.mean() < 0.5:
            return False
    return True


def background_right(image: Image.Image, background: str) -> bool:
    """Whether the picture has this background, a colour or a scenery."""
    if background in _SCENERY_BANDS:
        return shows_scenery(image, background)
    return plain_background(image) == background


def foreground(image: Image.Image, background: str) -> Mask:
    """Pixels that are neither the background's colour nor one of its scenery's."""
    values = pixels(image)
    if background in COLOURS:
        far = numpy.linalg.norm(values - numpy.median(_border(values), axis=0), axis=-1) > 70
        return numpy.asarray(far, bool)
    # the columns at the edges show the scenery at each height
    edges = numpy.concatenate([values[:, :4], values[:, -4:]], axis=1)
    expected = numpy.median(edges, axis=1)[:, None, :]
    mask = numpy.linalg.norm(values - expected, axis=-1) > 70
    mask[: round(0.26 * len(values)), : round(0.28 * values.shape[1])] = False  # sun or moon
    mask[: round(0.26 * len(values)), -round(0.28 * values.shape[1]) :] = False
    return numpy.asarray(ndimage.binary_opening(mask, iterations=2), bool)


def main_colour(image: Image.Image, background: str, within: Mask | None = None) -> str | None:
    """Most frequent colour of the foreground (in `within`); None without enough foreground."""
    counts = _counts(image, background, within)
    return _NAMES[counts.argmax()] if counts.any() else None


def is_coloured(image: Image.Image, background: str, colour: str) -> bool:
    """Whether no other colour covers much more of the foreground; true for every drawing."""
    counts = _counts(image, background)
    return bool(counts.any() and counts[_NAMES.index(colour)] >= MIN_COLOUR_RATIO * counts.max())


def _counts(image: Image.Image, background: str, within: Mask | None = None) -> NDArray[numpy.intp]:
    """Foreground pixels (in `within`) of each colour; zeros without enough foreground."""
    mask = foreground(image, background)
    if within is not None:
        mask &= within
    found = nearest_colour(pixels(image)[mask]) if mask.mean() >= 0.01 else []
    return numpy.bincount(found, minlength=len(_NAMES))


def colour_share(image: Image.Image, colour: str) -> float:
    """Share of the picture, 0..1, that is nearest to this palette colour and close to it."""
    values = pixels(image)
    near = numpy.linalg.norm(values - numpy.array(COLOURS[colour]), axis=-1) < 90
    return float((near & (nearest_colour(values) == _NAMES.index(colour))).mean())


def object_count(image: Image.Image, background: str) -> int:
    """Separate foreground pieces, each at least a sixth of the largest."""
    labels = numpy.zeros(pixels(image).shape[:2], numpy.int32)
    if not ndimage.label(foreground(image, background), output=labels):
        return 0
    sizes = numpy.bincount(labels.ravel())[1:]
    return int((sizes >= sizes.max() / 6).sum())


def half(image: Image.Image, side: str) -> Mask:
    """The left or right half of the picture."""
    height, width = pixels(image).shape[:2]
    mask = numpy.zeros((height, width), bool)
    middle = width // 2
    mask[:, :middle] = side == "left"
    mask[:, middle:] = side == "right"
    return mask


def centre_and_size(image: Image.Image, background: str) -> tuple[float, float]:
    """Centre of mass from left (0) to right (1), and share of the picture, of the foreground."""
    mask = foreground(image, background)
    if not mask.any():
        return 0.5, 0.0
    return float(mask.nonzero()[1].mean() / mask.shape[1]), float(mask.mean())
