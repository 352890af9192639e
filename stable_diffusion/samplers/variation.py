"""Variations of the noise that a picture starts from, as AUTOMATIC1111 has them."""

from dataclasses import dataclass

import torch
from torch import Tensor

_PARALLEL = 0.9995
"""Mean cosine above which two noises are as good as the same, and their angle is too small."""


@dataclass(frozen=True)
class Variation:
    """What becomes of a picture's noise.

    Attributes:
        seed: of the other noise, of the job's first picture; picture i has seed + i.
        strength: 0 (the picture's own noise) to 1 (the other one).
        size: (h, w) of latents whose noise stands in the middle of the picture's own; None: its
            size.
    """

    seed: int = 0
    strength: float = 0.0
    size: tuple[int, int] | None = None

    @property
    def changes(self) -> bool:
        """Whether it changes anything."""
        return bool(self.strength) or self.size is not None

    def seed_of(self, place: int) -> int | None:
        """The other seed of the picture at a place of the job; None: it is not a variation."""
        return self.seed + place if self.strength else None

    def noise(self, seed: int, own: Tensor, place: int) -> Tensor:
        """The noise of one picture.

        Args:
            seed: the picture's.
            own: (C, h, w), the noise of that seed.
            place: the picture's place in the job, from 0.
        """
        shape = own.shape if self.size is None else (own.shape[0], *self.size)
        noise = own if tuple(shape) == tuple(own.shape) else _drawn(seed, tuple(shape))
        if self.strength:
            other = _drawn(self.seed + place, tuple(shape))
            noise = slerp(noise, other, self.strength)
        return noise if noise.shape == own.shape else _in_the_middle(noise, own)


NO_VARIATION = Variation()


def slerp(low: Tensor, high: Tensor, share: float) -> Tensor:
    """Spherical interpolation of two noises, (C, h, w), column by column.

    Source: Shoemake 1985, with columns as the vectors, as in AUTOMATIC1111.
    """
    unit_low, unit_high = (each / each.norm(dim=1, keepdim=True) for each in (low, high))
    cosine = (unit_low * unit_high).sum(1, keepdim=True)
    if cosine.mean() > _PARALLEL:
        return low.lerp(high, share)
    angle = cosine.acos()
    weights = ((1 - share) * angle).sin(), (share * angle).sin()
    return (weights[0] * low + weights[1] * high) / angle.sin()


def _drawn(seed: int, shape: tuple[int, ...]) -> Tensor:
    generator = torch.Generator().manual_seed(seed % 2**64)
    return torch.randn(shape, generator=generator)


def _in_the_middle(noise: Tensor, own: Tensor) -> Tensor:
    """`own` with the other noise in its middle; of a larger noise, the middle is cut out."""
    result = own.clone()
    (to_y, from_y), (to_x, from_x) = (
        _overlap(there, here) for there, here in zip(own.shape[1:], noise.shape[1:], strict=True)
    )
    result[:, to_y, to_x] = noise[:, from_y, from_x]
    return result


def _overlap(there: int, here: int) -> tuple[slice, slice]:
    """Where on a side of `there` the middle of a side of `here` goes, and which part of it."""
    offset = (there - here) // 2
    count = here if offset >= 0 else here + 2 * offset
    to, begin = max(offset, 0), max(-offset, 0)
    return slice(to, to + count), slice(begin, begin + count)
