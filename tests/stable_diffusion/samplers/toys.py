"""Small models whose every evaluation is cheap, and one whose answers are known exactly."""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from stable_diffusion.conditioning import Conditioning, Network
from stable_diffusion.conditioning_schedule import Composition, ConditioningSchedule
from stable_diffusion.samplers import SAMPLERS, resolve
from stable_diffusion.samplers.denoiser import Denoiser
from stable_diffusion.samplers.estimate import (
    Estimate,
    EstimateChange,
    EstimateOptions,
    Prediction,
)
from stable_diffusion.samplers.guided import GuidedNetwork
from stable_diffusion.samplers.noise import NoiseSource
from stable_diffusion.samplers.sampler import SamplerOptions
from stable_diffusion.samplers.sampling import sample
from stable_diffusion.samplers.schedule import NoiseSchedule

SCHEDULE = NoiseSchedule()
SHAPE = (4, 8, 8)
CPU = torch.device("cpu")
POSITIVE = Conditioning(torch.linspace(0.5, 1.5, 6 * 16).reshape(1, 6, 16))  # its mean is 1
NEGATIVE = Conditioning(-POSITIVE.context)
PLAIN = [key for key in SAMPLERS if not key.endswith("_ka")]
"""Without those that differ from another only in their levels."""
KEYS = [*PLAIN, "k_dpmpp_2m_ka", "k_dpmpp_sde_ka"]
"""All solvers, and two with Karras levels for the others: each of those is the plain sampler with
that scheduler, to the bit (`test_schedulers.py`)."""
WITH_V = [*((key, "epsilon") for key in KEYS), ("ddim", "v"), ("k_dpm_ad", "v"), ("lcm", "v")]
"""The denoiser converts a prediction of v for all samplers alike: a few show that it does."""
EXACT = [key for key in KEYS if SAMPLERS[key].row.exact]
RANDOM = [key for key in KEYS if SAMPLERS[key].row.noise != "none" and "ddim" not in key]
DETERMINISTIC = [key for key in KEYS if key not in (*RANDOM, "ddim_cfgpp")]
"""They follow the probability flow; DDIM CFG++ follows another way."""

MEAN = torch.linspace(-1, 1, 4 * 8 * 8).reshape(SHAPE)
DEVIATION = 0.5


class Gaussian:
    """The perfect model of pictures that are independent Gaussians, N(conditioning·MEAN, 0.5²)."""

    def __init__(
        self, prediction: Prediction = "epsilon", schedule: NoiseSchedule = SCHEDULE
    ) -> None:
        self.prediction = prediction
        self.schedule = schedule

    def __call__(self, x_t: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        sigma = self.schedule.sigma(timesteps)[:, None, None, None]
        x = x_t * (sigma**2 + 1).sqrt()
        mean = MEAN * conditioning.context.float().mean(dim=(1, 2))[:, None, None, None]
        denoised = (DEVIATION**2 * x + sigma**2 * mean) / (DEVIATION**2 + sigma**2)
        epsilon = (x - denoised) / sigma
        if self.prediction == "epsilon":
            return epsilon
        return (epsilon - sigma * denoised) / (sigma**2 + 1).sqrt()

    @staticmethod
    def exact(noise: Tensor, sigma_max: float = SCHEDULE.sigma_max) -> Tensor:
        """Where every solution of the probability flow from σ_max·noise ends (scale 1)."""
        return MEAN + (sigma_max * noise - MEAN) * DEVIATION / (DEVIATION**2 + sigma_max**2) ** 0.5


@cache
def random_unet() -> Network:
    """A diffusers UNet as it is before training: one level, with attention to the context."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(16,),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D",),
        mid_block_type=None,
        up_block_types=("UpBlock2D",),
        cross_attention_dim=16,
        attention_head_dim=4,
        norm_num_groups=8,
    ).eval()

    def network(x: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        return unet(x, timesteps, conditioning.context).sample

    return network


def denoiser(
    network: Network,
    *,
    prediction: Prediction = "epsilon",
    scale: float = 1.0,
    on_evaluation: Callable[[Estimate], object] = lambda _estimate: None,
    changes: tuple[EstimateChange, ...] = (),
    dtype: torch.dtype = torch.float32,
    schedule: NoiseSchedule = SCHEDULE,
    **guidance: float,
) -> Denoiser:
    guided = GuidedNetwork(
        network=network,
        schedule=schedule,
        prediction=prediction,
        positive=Composition.constant(POSITIVE.to(CPU, dtype)),
        negative=ConditioningSchedule.constant(NEGATIVE.to(CPU, dtype)),
        options=EstimateOptions(guidance_scale=scale, changes=changes, **guidance),
    )
    return Denoiser(guided, on_evaluation=on_evaluation)


def draw(
    key: str,
    denoise: Denoiser,
    *,
    seeds: tuple[int, ...] = (1, 2),
    steps: int = 25,
    image: Tensor | None = None,
    strength: float = 1.0,
    scheduler: str = "automatic",
    **options: float,
) -> Tensor:
    return sample(
        resolve(key, scheduler),
        denoise,
        NoiseSource(seeds, SHAPE),
        steps=steps,
        options=SamplerOptions(**options),
        init_latents=image,
        strength=strength,
    )


def distance(ours: Tensor, theirs: Tensor) -> float:
    """Relative, over the whole batch."""
    return ((ours - theirs).norm() / theirs.norm()).item()
