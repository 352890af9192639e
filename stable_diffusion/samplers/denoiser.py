"""The one interface between samplers and networks: `Denoiser.estimate`.

Guidance, the form of the prediction, changes of the estimate and the network's number type are
applied here and nowhere else. Samplers over σ call the denoiser for D(x; σ) (Karras et al. 2022,
arXiv:2206.00364, equation 7), DDIM and PLMS ask it for ε(x_t, t); both are forms of one estimate.
"""

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from stable_diffusion.conditioning import Conditioning, Network
from stable_diffusion.conditioning_schedule import Composition, ConditioningSchedule
from stable_diffusion.guidance import guided_prediction
from stable_diffusion.samplers.estimate import Estimate, EstimateOptions, NoiseLevel, Prediction
from stable_diffusion.samplers.position import Position, SamplingPlan
from stable_diffusion.samplers.schedule import NoiseSchedule


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
        network: Network,
        schedule: NoiseSchedule,
        *,
        prediction: Prediction,
        positive: Composition,
        negative: ConditioningSchedule,
        options: EstimateOptions,
        imageless: ConditioningSchedule | None = None,
        on_evaluation: Callable[[Estimate], object] = lambda _estimate: None,
    ) -> None:
        """Bind a network to its conditioning.

        Args:
            network: see `stable_diffusion.conditioning.Network`.
            schedule: its noise levels.
            prediction: what it predicts, see `Estimate`.
            positive: of the prompt.
            negative: of the negative prompt.
            options: guidance, and changes of the estimate.
            imageless: of the negative prompt, without the image that the network is guided by;
                None: there is none.
            on_evaluation: called with every estimate; an exception it raises ends the sampling.
        """
        self.schedule = schedule
        self.device = positive.device
        self.evaluations = 0
        self.position = Position()
        self._plan = SamplingPlan()
        self._network = network
        self._prediction: Prediction = prediction
        self._positive, self._negative = positive, negative
        # at scale 1 it cancels out
        self._imageless = imageless if options.image_scale != 1 else None
        self._options = options
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
        options = self._options
        self.position = self._plan.position(self.evaluations, level.timestep[0].item())
        guided = options.guided_at(self.position.share)
        step = self.position.step
        predictions = guided_prediction(
            self._in_float32,
            level.to_network * x,
            level.timestep.float(),
            positive=self._positive.at(step),
            negative=self._negative.at(step),
            imageless=self._imageless.at(step) if self._imageless and guided else None,
            scale=options.guidance_scale * scaled if guided else 1.0,
            image_scale=options.image_scale,
            rescaled=options.guidance_rescale,
            both=both and guided,
        )
        estimate = self._changed(Estimate(x, level, predictions.values, self._prediction))
        if both:
            other = self._changed(Estimate(x, level, predictions.negative, self._prediction))
            estimate = replace(estimate, negative=other.values)
        self.evaluations += 1
        self._on_evaluation(estimate)
        return estimate

    def _changed(self, estimate: Estimate) -> Estimate:
        for change in self._options.changes:
            estimate = change(estimate)
        return estimate

    def _in_float32(self, x: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        return self._network(x.to(conditioning.dtype), timesteps, conditioning).float()
