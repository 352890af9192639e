"""The ways to resample latents, under the modes of `torch.nn.functional.interpolate`."""

from typing import Literal, get_args

LatentUpscaler = Literal[
    "latent",
    "latent_antialiased",
    "latent_bicubic",
    "latent_bicubic_antialiased",
    "latent_nearest",
    "latent_nearest_exact",
]
"""AUTOMATIC1111's; see `hires`."""
LATENT_UPSCALERS: tuple[LatentUpscaler, ...] = get_args(LatentUpscaler)
