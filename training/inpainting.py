"""Masked scenes for the training of a model that takes a mask and what surrounds it.

Its UNet has nine channels: noisy latents (4), the mask (1), the latents of the masked picture (4).
Source: Rombach et al. 2022 (arXiv:2112.10752), section 4.5, as Stable Diffusion's inpainting
checkpoints have it.
"""

import random
from dataclasses import dataclass
from pathlib import Path

import numpy
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from PIL import Image
from torch import Tensor

from stable_diffusion.families.latent_diffusion import LATENTS
from training.drawings import draw
from training.latents import EncodedScenes, Examples, encode_pictures, random_scenes
from training.masks import masked_caption, random_mask
from training.progress import save_state

GREY = (127, 127, 127)
"""What stands in the masked picture where the mask is: 0 for the autoencoder."""


@dataclass(frozen=True)
class MaskedScenes(EncodedScenes):
    """Scenes, each with one mask.

    Attributes:
        masks: of the size of the pictures, mode L.
        inputs: (count, 5, h, w) in float16, each mask and the latents of its masked picture.
    """

    masks: tuple[Image.Image, ...]
    inputs: Tensor

    def pick(self, count: int, simple_share: float, rng: random.Random) -> Examples:
        chosen = self._choose(count, simple_share, rng)
        captions = [masked_caption(self.scenes[i], self.masks[i], rng) for i in chosen]
        return Examples(captions, self.latents[chosen].float(), self.inputs[chosen].float())


def masked_scenes(
    folder: Path,
    vae: AutoencoderKL,
    count: int,
    seed: int,
    size: tuple[int, int],
    device: torch.device,
) -> MaskedScenes:
    """Draw, mask and encode `count` random scenes of `size` (width, height) pixels.

    Args:
        folder: for a cache, valid while the seed gives the same scenes.
    """
    path = folder / f"masked-{size[0]}x{size[1]}-{count}-{seed}.pt"
    rng = random.Random(seed)
    scenes = random_scenes(count, rng)
    masks = tuple(random_mask(scene, *size, rng) for scene in scenes)
    small = torch.stack([_latent_mask(mask) for mask in masks])
    cached = torch.load(path) if path.exists() else {}
    if cached.get("scenes") != repr(scenes):
        pictures = [draw(scene, *size, rng) for scene in scenes]
        hidden = (
            Image.composite(Image.new("RGB", size, GREY), picture, mask)
            for picture, mask in zip(pictures, masks, strict=True)
        )
        cached = {
            "scenes": repr(scenes),
            "latents": encode_pictures(vae, pictures, count, device),
            "masked": encode_pictures(vae, hidden, count, device),
        }
        save_state(path, **cached)
    inputs = torch.cat([small, cached["masked"]], 1)
    return MaskedScenes(scenes, cached["latents"], masks, inputs)


def _latent_mask(mask: Image.Image) -> Tensor:
    """(1, h, w) in float16: 1 where the first pixel of a latent is set, as the engine asks it."""
    pixels = numpy.array(mask)[:: LATENTS.factor, :: LATENTS.factor]
    return torch.from_numpy(pixels > 127)[None].half()
