"""Scenes with their latents. The autoencoder no longer changes, so each is encoded once."""

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from stable_diffusion.families.latent_diffusion import LATENTS
from stable_diffusion.image import to_tensor
from stable_diffusion.networks import posterior
from training.drawings import draw
from training.progress import save_state
from training.scenes import Scene, random_scene

PAIRS = 0.55
"""Share of scenes with two objects, the hardest for a tiny model."""


@dataclass(frozen=True)
class EncodedScenes:
    """Scenes and their latents, (count, 4, height/8, width/8) in float16, scaled for the UNet."""

    scenes: Sequence[Scene]
    latents: Tensor

    @cached_property
    def _simple(self) -> list[int]:
        return [i for i, scene in enumerate(self.scenes) if scene.is_simple]

    def pick(
        self, count: int, simple_share: float, rng: random.Random
    ) -> tuple[list[Scene], Tensor]:
        """`count` scenes at random, `simple_share` of them from the simple ones only."""
        everything = range(len(self.scenes))
        chosen = [
            rng.choice(self._simple if rng.random() < simple_share else everything)
            for _ in range(count)
        ]
        return [self.scenes[i] for i in chosen], self.latents[chosen].float()


def encode_scenes(
    vae: AutoencoderKL, count: int, seed: int, size: tuple[int, int], device: torch.device
) -> EncodedScenes:
    """Draw and encode `count` random scenes of `size` (width, height) pixels."""
    vae.eval()
    rng = random.Random(seed)
    scenes = _random_scenes(count, rng)

    @torch.inference_mode()  # applies per thread
    def encode(pictures: list[Image.Image]) -> Tensor:
        pixels = torch.stack([to_tensor(picture) for picture in pictures])
        with torch.autocast("cuda", torch.bfloat16, enabled=device.type == "cuda"):
            mean = posterior(vae, pixels.to(device)).mode()
        return (mean.float() * LATENTS.scale).half().cpu()

    # On a CPU each core encodes one picture at a time: a batch would exceed the caches.
    cores = torch.get_num_threads() if device.type == "cpu" else 1
    size_of_batch = 1 if device.type == "cpu" else max(1, 2**20 // (size[0] * size[1]))
    latents: list[Tensor] = []
    single = partial(torch.set_num_threads, 1) if cores > 1 else None
    with (
        ThreadPoolExecutor(cores, initializer=single) as pool,
        tqdm(total=count, desc=f"draw {size}", mininterval=5) as bar,
    ):
        for start in range(0, count, cores * size_of_batch):
            images = [draw(scene, *size, rng) for scene in scenes[start:][: cores * size_of_batch]]
            batches = [images[i : i + size_of_batch] for i in range(0, len(images), size_of_batch)]
            latents += pool.map(encode, batches)
            bar.update(len(images))
    return EncodedScenes(scenes, torch.cat(latents))


def _random_scenes(count: int, rng: random.Random) -> list[Scene]:
    return [random_scene(rng, pairs=PAIRS) for _ in range(count)]


def cached_scenes(
    folder: Path,
    vae: AutoencoderKL,
    count: int,
    seed: int,
    size: tuple[int, int],
    device: torch.device,
) -> EncodedScenes:
    """`encode_scenes` with a cache in `folder`, valid while the seed gives the same scenes."""
    path = folder / f"latents-{size[0]}x{size[1]}-{count}-{seed}.pt"
    rng = random.Random(seed)
    scenes = _random_scenes(count, rng)
    if path.exists() and (cached := torch.load(path)).get("scenes") == repr(scenes):
        return EncodedScenes(scenes, cached["latents"])
    encoded = encode_scenes(vae, count, seed, size, device)
    save_state(path, latents=encoded.latents, scenes=repr(scenes))
    return encoded
