"""How much one request may ask for, and how many jobs may wait."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MIN_SIDE, MAX_SIDE, SIDE_STEP = 64, 2048, 8
"""Pixels of H and W, whatever the model and the settings."""
MAX_OUTPUT_SIDE = 4096
"""Pixels of output_width and output_height, which begin at MIN_SIDE."""
MAX_RESULT_SIDE = 16_384
"""Pixels of a side of a picture whose size follows from that of an init image."""
MAX_COUNT = 1000
"""Of the parameters that count pictures: n_iter, n_samples and n_rows."""
NATIVE_SIZE = 512
"""The native size of a model of which no worker announces one."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Caps on a request; every one can be set.

    Attributes:
        max_side: pixels of H and W for a model trained below 768 pixels.
        max_side_768: pixels of H and W for a model trained at 768 pixels or more.
        max_side_1024: pixels of H and W for a model trained at 1024 pixels or more. The default
            allows the sizes of 1024·1024 pixels that such models were trained on, such as 1536·640.
        max_images: n_iter · n_samples.
        max_work: n_iter · n_samples · H · W · ddim_steps, times the cost of the model, so that no
            request can occupy a worker for hours unnoticed. The default is 64 pictures of 512×512
            at 50 steps.
        max_init_pixels: width · height of an init image, checked before it is decoded.
        max_output_pixels: n_iter · n_samples · output_width · output_height, which bounds the room
            in the store, the time for upscaling and the memory for a grid; or the pixels of the
            results if their size follows from that of an init image.
        max_hires_pixels: width · height of a second pass, which bounds its memory. `max_side` does
            not: it is the size up to which a model makes a picture from noise, whereas the second
            pass starts from a picture.
    """

    max_side: int = 512
    max_side_768: int = 768
    max_side_1024: int = 1536
    max_images: int = 64
    max_work: int = 64 * 50 * 512 * 512
    max_init_pixels: int = 4096 * 4096
    max_output_pixels: int = 4 * 4096 * 4096
    max_hires_pixels: int = 1536 * 1536

    def sizes_left_out(self, native_size: int) -> dict[str, int]:
        """H and W of a request that has none, if the 512 of the reference do not suit the model."""
        side = min(native_size, self.side(native_size))
        return {"H": side, "W": side} if native_size >= 1024 else {}

    def filled_sizes(
        self, filled: Mapping[str, Any], sent: Mapping[str, Any], native_size: int
    ) -> dict[str, int]:
        """H and W that a body got because it did not have them, at most as large as they may be."""
        largest = self.side(native_size) // SIDE_STEP * SIDE_STEP
        got = {name: filled.get(name) for name in ("H", "W") if sent.get(name) is None}
        return {name: min(side, largest) for name, side in got.items() if side is not None}

    def side(self, native_size: int) -> int:
        """The largest H and W in pixels for a model trained at `native_size` pixels."""
        if native_size >= 1024:
            return min(MAX_SIDE, self.max_side_1024)
        return min(MAX_SIDE, self.max_side_768 if native_size >= 768 else self.max_side)


@dataclass(frozen=True, kw_only=True)
class WaitingCaps:
    """How many jobs may wait at once, and how much they may hold; 0: any number.

    Attributes:
        per_submitter: of one API key.
        total: of all submitters and all types.
        bytes_per_submitter: how much of Redis' memory the unended jobs of one API key may hold, and
            with them what is left of its ended ones, of which the oldest are forgotten.
    """

    per_submitter: int = 0
    total: int = 0
    bytes_per_submitter: int = 0
