"""The size at which to generate a picture of any wanted size, and what it is brought to.

Clients of other dialects ask for sizes that a model was not made for: 1024×1024 of one trained at
512×512 repeats its subject, and 256×256 of it is a blot. Such a picture is generated near the
model's native size and resized.
"""

import math
from dataclasses import dataclass

from jobs.limits import MIN_SIDE, SIDE_STEP, Limits


@dataclass(frozen=True, kw_only=True)
class DrawingSize:
    """What to generate for a wanted size.

    Attributes:
        width, height: to generate, in pixels: multiples of SIDE_STEP, within the limits.
        output: the wanted width and height, if the picture must be brought to them.
        warning: a sentence that says so; None without `output`.
    """

    width: int
    height: int
    output: tuple[int, int] | None = None
    warning: str | None = None


def drawing_size(width: int, height: int, *, native_size: int, limits: Limits) -> DrawingSize:
    """The size at which a model generates well for a wanted size.

    A size is generated as it is if its sides are possible and its area is between half and twice
    that of the model's native size. Otherwise the aspect is kept as far as the sides permit, and
    the area is as near to the native one as they permit.

    Args:
        width, height: the wanted size in pixels, positive.
        native_size: the side in pixels of the pictures that the model was trained on.
        limits: the caps on one request.
    """
    most = limits.side(native_size) // SIDE_STEP * SIDE_STEP
    reason = _reason(width, height, native_size, most)
    if reason is None:
        return DrawingSize(width=width, height=height)
    factor = min(native_size / math.sqrt(width * height), most / max(width, height))
    drawn = _possible(width * factor, most), _possible(height * factor, most)
    if drawn == (width, height):
        return DrawingSize(width=width, height=height)
    warning = (
        f"the picture is drawn at {drawn[0]}×{drawn[1]} pixels and brought to {width}×{height}: "
        f"{reason}"
    )
    return DrawingSize(width=drawn[0], height=drawn[1], output=(width, height), warning=warning)


def _reason(width: int, height: int, native_size: int, most: int) -> str | None:
    """Why a size should not be generated as it is; None: it can be."""
    if max(width, height) > most:
        return f"a side has {most} pixels at most with this model"
    if min(width, height) < MIN_SIDE:
        return f"a side has {MIN_SIDE} pixels at least"
    if width % SIDE_STEP or height % SIDE_STEP:
        return f"sides are multiples of {SIDE_STEP} pixels"
    if not native_size**2 / 2 <= width * height <= native_size**2 * 2:
        return f"the model is made for about {native_size}×{native_size} pixels"
    return None


def _possible(side: float, most: int) -> int:
    """The nearest side that can be generated."""
    return min(most, max(MIN_SIDE, round(side / SIDE_STEP) * SIDE_STEP))
