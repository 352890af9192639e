"""What a network says about noisy latents: the noise in them, and the image under it.

A prediction of the noise ε, one of the velocity v and the denoised latents x₀ determine each other,
given the latents and their noise level. So whatever changes an estimate changes it in every form,
and for every sampler. Sources: Karras et al. 2022 (arXiv:2206.00364), equation 7; Salimans and Ho
2022 (arXiv:2202.00512), appendix D, for v.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor

from stable_diffusion.families.family import Prediction


@dataclass(frozen=True, eq=False)
class NoiseLevel:
    """How latents x are composed of an image and noise, x = image·x₀ + noise·ε.

    Attributes:
        timestep: (n,) float32, the same level as the network knows it.
        image, noise: numbers, or (n, 1, 1, 1).
        to_network: what x is multiplied by for the network: 1/√(image² + noise²).
    """

    timestep: Tensor
    image: Tensor | float
    noise: Tensor | float
    to_network: Tensor | float


@dataclass(frozen=True, eq=False)
class Estimate:
    """What the network says about latents.

    Attributes:
        x: (n, C, h, w) float32 latents.
        level: their noise level.
        values: (n, C, h, w) float32, what the network predicts.
        prediction: which form that has: ε, or v = √ᾱ·ε − √(1−ᾱ)·x₀.
        negative: as `values`, what it predicts from the negative prompt alone; None: not asked for.
    """

    x: Tensor
    level: NoiseLevel
    values: Tensor
    prediction: Prediction
    negative: Tensor | None = None

    def epsilon(self) -> Tensor:
        """ε, the noise in the latents, (n, C, h, w) float32."""
        if self.prediction == "epsilon":
            return self.values
        alpha, sigma = self._alpha_sigma()
        return alpha * self.values + sigma * (self.level.to_network * self.x)

    def denoised(self) -> Tensor:
        """x₀, the latents without their noise, (n, C, h, w) float32."""
        if self.prediction == "epsilon":
            return (self.x - self.level.noise * self.values) / self.level.image
        alpha, sigma = self._alpha_sigma()
        return alpha * self.level.to_network * self.x - sigma * self.values

    def with_denoised(self, denoised: Tensor) -> "Estimate":
        """The estimate whose x₀ is another; its ε follows."""
        if self.prediction == "epsilon":
            values = (self.x - self.level.image * denoised) / self.level.noise
        else:
            alpha, sigma = self._alpha_sigma()
            values = (alpha * self.level.to_network * self.x - denoised) / sigma
        return replace(self, values=values)

    def from_negative(self) -> "Estimate":
        """What the negative prompt alone says; the same if that was not asked for."""
        return self if self.negative is None else replace(self, values=self.negative)

    def _alpha_sigma(self) -> tuple[Tensor | float, Tensor | float]:
        """√ᾱ and √(1−ᾱ)."""
        level = self.level
        return level.to_network * level.image, level.to_network * level.noise


EstimateChange = Callable[[Estimate], Estimate]


@dataclass(frozen=True)
class EstimateOptions:
    """How a network's predictions become the estimate that all samplers work with.

    Attributes:
        guidance_scale: s of `stable_diffusion.guidance.guide`.
        guidance_rescale: φ of `stable_diffusion.guidance.rescale`, 0 to 1.
        guidance_start, guidance_end: guidance is applied from one share of the sampling to the
            other (Kynkäänniemi et al. 2024, arXiv:2404.07724); outside, the prompt alone is
            evaluated, which takes half as many rows.
        image_scale: of `stable_diffusion.guidance.guided_prediction`, for networks that are guided
            by an image as well.
        changes: applied to every estimate, one after another.
    """

    guidance_scale: float = 1.0
    guidance_rescale: float = 0.0
    guidance_start: float = 0.0
    guidance_end: float = 1.0
    image_scale: float = 1.0
    changes: tuple[EstimateChange, ...] = ()

    def guided_at(self, share: float) -> bool:
        """Whether guidance is applied at this share of the sampling, 0 up to but without 1."""
        return self.guidance_start <= share < self.guidance_end

    def changed(self, estimate: Estimate) -> Estimate:
        """The estimate after all changes."""
        for change in self.changes:
            estimate = change(estimate)
        return estimate
