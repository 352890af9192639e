"""The one seam between samplers and networks: what is the picture under this noise?

Guidance, the kind of prediction and the network's number type live behind it and nowhere else.
Sources: Karras et al. 2022 (arXiv:2206.00364), equation 7, for `denoise(x, σ)`; Salimans and Ho
2022 (arXiv:2202.00512), appendix D, for v.
"""

from collections.abc import Callable
from typing import Literal

from torch import Tensor

from stable_diffusion.conditioning import Conditioning, Network
from stable_diffusion.guidance import guided_prediction
from stable_diffusion.samplers.schedule import NoiseSchedule

Estimate = Callable[[], Tensor]
"""Computes the picture under the noise, (n, C, h, w) latents, as the last evaluation saw it."""


class Denoiser:
    """A guided network as a function of noisy latents and their noise level.

    The sampler's side is float32 throughout; the network gets latents in the type of its
    conditioning, and the timestep in float32, which bfloat16 could not tell from its neighbours.

    Attributes:
        schedule: the noise levels the network was trained on.
        device: where latents must be.
        evaluations: how often the network was asked so far.
    """

    def __init__(
        self,
        network: Network,
        schedule: NoiseSchedule,
        *,
        prediction: Literal["epsilon", "v"],
        positive: Conditioning,
        negative: Conditioning,
        guidance_scale: float,
        on_evaluation: Callable[[Estimate], object] = lambda _estimate: None,
    ) -> None:
        """Bind a network to what it shall draw.

        Args:
            network: see `stable_diffusion.conditioning.Network`.
            schedule: its noise levels.
            prediction: what it answers with: the noise ε, or v = √ᾱ·ε − √(1−ᾱ)·x₀.
            positive: one row, of the prompt.
            negative: one row, of the negative prompt.
            guidance_scale: s of `stable_diffusion.guidance.guide`.
            on_evaluation: called after each evaluation; whatever it raises ends the sampling. It
                is given the estimate, of which nothing is computed before it is called.
        """
        self.schedule = schedule
        self.device = positive.device
        self.evaluations = 0
        self._network = network
        self._prediction = prediction
        self._positive, self._negative = positive, negative
        self._scale = guidance_scale
        self._on_evaluation = on_evaluation

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """D(x; σ), the denoised latents.

        Args:
            x: (n, C, h, w) float32, latents + σ·noise.
            sigma: (n,) noise level of each.

        Returns:
            (n, C, h, w) float32.
        """
        timesteps = self.schedule.timestep(sigma)
        sigma = sigma[:, None, None, None]
        c_in = (sigma**2 + 1).rsqrt()  # √ᾱ
        prediction = self._predict(c_in * x, timesteps, c_in)
        if self._prediction == "v":
            return c_in**2 * x - c_in * sigma * prediction
        return x - sigma * prediction

    def epsilon(self, x_t: Tensor, timestep: int) -> Tensor:
        """ε(x_t, t), the noise in latents that are scaled as in training.

        Args:
            x_t: (n, C, h, w) float32, √ᾱ·latents + √(1−ᾱ)·noise.
            timestep: t, 0 to 999, the same for all n.

        Returns:
            (n, C, h, w) float32.
        """
        alpha = self.schedule.alphas_cumprod[timestep].item()
        prediction = self._predict(x_t, x_t.new_full(x_t.shape[:1], timestep), alpha**0.5)
        if self._prediction == "v":
            return alpha**0.5 * prediction + (1 - alpha) ** 0.5 * x_t
        return prediction

    def _predict(self, x_t: Tensor, timesteps: Tensor, root_alpha: Tensor | float) -> Tensor:
        prediction = guided_prediction(
            self._in_float32,
            x_t,
            timesteps.float(),
            positive=self._positive,
            negative=self._negative,
            scale=self._scale,
        )
        self.evaluations += 1
        self._on_evaluation(lambda: self._denoised(x_t, prediction, root_alpha))
        return prediction

    def _denoised(self, x_t: Tensor, prediction: Tensor, root_alpha: Tensor | float) -> Tensor:
        """x₀ by what the network predicted at x_t; root_alpha is √ᾱ."""
        noise_share = (1 - root_alpha**2) ** 0.5
        if self._prediction == "v":
            return root_alpha * x_t - noise_share * prediction
        return (x_t - noise_share * prediction) / root_alpha

    def _in_float32(self, x_t: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        return self._network(x_t.to(conditioning.dtype), timesteps, conditioning).float()
