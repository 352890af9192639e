"""Noise that depends on a picture's seed alone, not on its batch or device."""

from collections.abc import Callable, Sequence
from copy import copy

import torch
from torch import Tensor

from stable_diffusion.samplers import k_diffusion
from stable_diffusion.samplers.variation import NO_VARIATION, Variation

# (σ, next σ), both scalars, to standard normal noise for the step between them.
StepNoise = Callable[[Tensor, Tensor], Tensor]


class NoiseSource:
    """All randomness of a batch, drawn image by image on the CPU.

    Image i has a generator of its own, so it is the same alone and in a batch, on any device.

    Attributes:
        count: n, how many images.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        shape: tuple[int, int, int],
        variation: Variation = NO_VARIATION,
        first: int = 0,
    ) -> None:
        """Seed one generator an image.

        Args:
            seeds: one integer an image, of any size and sign (taken modulo 2⁶⁴).
            shape: (C, h, w) of one image's latents.
            variation: changes the noise that the images start from.
            first: the place in the job of the first image.
        """
        self._seeds = [seed % 2**64 for seed in seeds]
        self.count = len(seeds)
        self._shape = shape
        self._generators = [torch.Generator().manual_seed(seed) for seed in self._seeds]
        # drawn first: the noise of the steps must not repeat it, even if another start is used
        self._initial = self.step()
        if variation.changes:
            noises = enumerate(zip(self._seeds, self._initial, strict=True), first)
            varied = [variation.noise(seed, own, place) for place, (seed, own) in noises]
            self._initial = torch.stack(varied)

    def initial(self) -> Tensor:
        """The noise each picture starts from, (n, C, h, w) float32, the same at every call."""
        return self._initial

    def step(self) -> Tensor:
        """Fresh standard normal noise, (n, C, h, w) float32."""
        noises = [torch.randn(self._shape, generator=generator) for generator in self._generators]
        return torch.stack(noises)

    def of_image(self, index: int) -> "NoiseSource":
        """The randomness of one image alone, from where it is now."""
        one = copy(self)
        one.count = 1
        one._seeds = self._seeds[index : index + 1]
        one._generators = self._generators[index : index + 1]
        one._initial = self._initial[index : index + 1]
        return one

    def brownian(self, sigma_min: float, sigma_max: float) -> StepNoise:
        """Noise as the increments of one Brownian path an image, over σ.

        A virtual Brownian tree (Li et al. 2020, arXiv:2001.01328): the path depends on the seed
        and on these ends alone, not on where it is evaluated. A step divided in two sees the same
        noise, so more steps refine a picture instead of changing it.

        Args:
            sigma_min: smallest σ it is evaluated at.
            sigma_max: largest.

        Returns:
            A function of two σ whose values (n, C, h, w) float32 are on the device of the σ.
        """
        sampler = k_diffusion.sampling().BrownianTreeNoiseSampler(
            self._initial,
            # σ that a sampler computes may exceed the ends by a rounding error
            sigma_min * 0.99,
            sigma_max * 1.01,
            seed=self._seeds,
        )

        def between(sigma: Tensor, next_sigma: Tensor) -> Tensor:
            return sampler(sigma.cpu(), next_sigma.cpu()).to(sigma.device)

        return between
