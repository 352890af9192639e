"""The one interface between samplers and networks: `Denoiser.estimate`.

Guidance, the form of the prediction, changes of the estimate and the network's number type are
applied here and nowhere else. Samplers over σ call the denoiser for D(x; σ) (Karras et al. 2022,
arXiv:2206.00364, equation 7), DDIM and PLMS ask it for ε(x_t, t); both are forms of one estimate.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from torch import Tensor

from stable_diffusion.conditioning import Conditioning, Network
from stable_diffusion.guidance import guided_prediction
from stable_diffusion.samplers.estimate import Estimate, NoiseLevel
from stable_diffusion.samplers.guided import GuidedNetwork, Refinement
from stable_diffusion.samplers.position import Position, SamplingPlan


class Denoiser:
    """A guided network as a function of noisy latents and their noise level.

    The sampler's side is float32 throughout; the network gets latents in the type of its
    conditioning, and the timestep in float32, since bfloat16 rounds 999 to 1000.

    Attributes:
        schedule: the noise levels the network was trained on.
        device: where latents must be.
        evaluations: how often the network was called so far.
        position: the place in the sampling of the evaluation that is made now, or was made last.
    """

    def __init__(
        self,
        guided: GuidedNetwork,
        *,
        refinement: Refinement | None = None,
        on_evaluation: Callable[[Estimate], object] = lambda _estimate: None,
    ) -> None:
        """Bind a network to its conditioning.

        Args:
            guided: the network; its noise levels are those of the sampling.
            refinement: what goes on with the sampling below a noise level; None: nothing does. The
                sampler does not notice: what it remembers of earlier steps stays.
            on_evaluation: called with every estimate; an exception it raises ends the sampling.
        """
        self.schedule = guided.schedule
        self.device = guided.positive.device
        self.evaluations = 0
        self.position = Position()
        self._plan = SamplingPlan()
        self._guided, self._refinement = guided, refinement
        self._on_evaluation = on_evaluation

    def begin(self, levels: Tensor, evaluations: int, *, exact: bool) -> None:
        """Announce a sampling.

        Args:
            levels: σ or, as whole numbers, timesteps; falling, one more than steps.
            evaluations, exact: see `SamplingPlan`.
        """
        whole = not levels.is_floating_point()
        timesteps = levels if whole else self.schedule.timestep(levels)
        self._plan = SamplingPlan(tuple(timesteps.tolist()), evaluations, exact)
        self.evaluations = 0

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """D(x; σ), the denoised latents.

        Args:
            x: (n, C, h, w) float32, latents + σ·noise.
            sigma: (n,) noise level of each.

        Returns:
            (n, C, h, w) float32.
        """
        return self.estimate(x, self.level(sigma)).denoised()

    def level(self, sigma: Tensor) -> NoiseLevel:
        """The level of latents + σ·noise; σ as of `__call__`."""
        noise = sigma[:, None, None, None]
        return NoiseLevel(
            timestep=self.schedule.timestep(sigma),
            image=1.0,
            noise=noise,
            to_network=(noise**2 + 1).rsqrt(),
        )

    def epsilon(self, x_t: Tensor, timestep: int) -> Tensor:
        """ε(x_t, t), the noise in latents that are scaled as in training.

        Args:
            x_t: (n, C, h, w) float32, √ᾱ·latents + √(1−ᾱ)·noise.
            timestep: t, 0 to 999, the same for all n.

        Returns:
            (n, C, h, w) float32.
        """
        return self.estimate(x_t, self.training_level(x_t, timestep)).epsilon()

    def training_level(self, x_t: Tensor, timestep: int) -> NoiseLevel:
        """The level of latents that are scaled as in training; arguments as of `epsilon`."""
        alpha = self.schedule.alphas_cumprod[timestep].item()
        return NoiseLevel(
            timestep=x_t.new_full(x_t.shape[:1], timestep),
            image=alpha**0.5,
            noise=(1 - alpha) ** 0.5,
            to_network=1.0,
        )

    def estimate(
        self, x: Tensor, level: NoiseLevel, *, scaled: float = 1.0, both: bool = False
    ) -> Estimate:
        """One evaluation of the network with guidance, and the changes that the options name.

        Args:
            x: (n, C, h, w) float32.
            level: how much of x is noise.
            scaled: factor of the guidance scale.
            both: have what the negative prompt alone says in the estimate, wherever guidance is
                applied.
        """
        timestep = level.timestep[0].item()
        self.position = self._plan.position(self.evaluations, timestep)
        guided = self._guided
        if self._refinement and timestep < self._refinement.begins:
            guided = self._refinement.guided
        options, step = guided.options, self.position.step
        with_guidance = options.guided_at(self.position.share)
        imageless = guided.imageless.at(step) if guided.imageless and with_guidance else None
        predictions = guided_prediction(
            partial(_in_float32, guided.network),
            level.to_network * x,
            guided.timestep(level, self.schedule),
            positive=guided.positive.at(step),
            negative=guided.negative.at(step),
            # at scale 1 it cancels out
            imageless=None if options.image_scale == 1 else imageless,
            scale=options.guidance_scale * scaled if with_guidance else 1.0,
            image_scale=options.image_scale,
            rescaled=options.guidance_rescale,
            both=both and with_guidance,
        )
        said = Estimate(x, level, predictions.values, guided.prediction)
        estimate = options.changed(said)
        if both:
            other = options.changed(replace(said, values=predictions.negative))
            estimate = replace(estimate, negative=other.values)
        self.evaluations += 1
        self._on_evaluation(estimate)
        return estimate


def _in_float32(
    network: Network, x: Tensor, timesteps: Tensor, conditioning: Conditioning
) -> Tensor:
    return network(x.to(conditioning.dtype), timesteps, conditioning).float()
