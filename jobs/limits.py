"""How much one request may ask for, and how many may wait."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Caps on a request; every one can be set.

    Attributes:
        max_side: pixels of H and W for a model trained at 512 or less.
        max_side_768: pixels of H and W for a model trained at 768 (`sd21v`).
        max_images: n_iter · n_samples.
        max_work: n_iter · n_samples · H · W · ddim_steps, so that no request can occupy a worker
            for hours unnoticed. The default is 64 pictures of 512×512 at 50 steps.
        max_init_pixels: width · height of an init image, checked before it is decoded.
    """

    max_side: int = 512
    max_side_768: int = 768
    max_images: int = 64
    max_work: int = 64 * 50 * 512 * 512
    max_init_pixels: int = 4096 * 4096

    def side(self, model: str) -> int:
        """The longest side in pixels that a model may be asked for."""
        return self.max_side_768 if model == "sd21v" else self.max_side


@dataclass(frozen=True, kw_only=True)
class WaitingCaps:
    """How many jobs may wait at once; 0: any number.

    Attributes:
        per_submitter: of one key.
        in_all: of everybody, over all types.
    """

    per_submitter: int = 0
    in_all: int = 0
