"""Scenes with their latents. The autoencoder no longer changes, so each is encoded once."""

import random
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import islice
from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from stable_diffusion.families.latent_diffusion import LATENTS
from stable_diffusion.image import to_tensor
from stable_diffusion.networks import posterior
from training.captions import Piece, caption
from training.drawings import draw
from training.progress import save_state
from training.scenes import Scene, random_scene

PAIRS = 0.55
"""Share of scenes with two objects, the hardest for a tiny model."""


@dataclass(frozen=True)
class Examples:
    """A batch to learn from.

    Attributes:
        captions: n of them.
        latents: (n, 4, h, w) float32.
        inputs: (n, c, h, w), further channels that the UNet is given, or None.
    """

    captions: Sequence[Sequence[Piece]]
    latents: Tensor
    inputs: Tensor | None = None


@dataclass(frozen=True)
class EncodedScenes:
    """Scenes and their latents, (count, 4, height/8, width/8) in float16, scaled for the UNet."""

    scenes: Sequence[Scene]
    latents: Tensor

    @cached_property
    def _simple(self) -> list[int]:
        return [i for i, scene in enumerate(self.scenes) if scene.is_simple]

    def pick(self, count: int, simple_share: float, rng: random.Random) -> "Examples":
        """`count` scenes at random, `simple_share` of them from the simple ones only."""
        chosen = self._choose(count, simple_share, rng)
        captions = [caption(self.scenes[i], rng) for i in chosen]
        return Examples(captions, self.latents[chosen].float())

    def _choose(self, count: int, simple_share: float, rng: random.Random) -> list[int]:
        everything = range(len(self.scenes))
        return [
            rng.choice(self._simple if rng.random() < simple_share else everything)
            for _ in range(count)
        ]


def encode_scenes(
    vae: AutoencoderKL, count: int, seed: int, size: tuple[int, int], device: torch.device
) -> EncodedScenes:
    """Draw and encode `count` random scenes of `size` (width, height) pixels."""
    rng = random.Random(seed)
    scenes = random_scenes(count, rng)
    pictures = (draw(scene, *size, rng) for scene in scenes)
    return EncodedScenes(scenes, encode_pictures(vae, pictures, count, device))


def encode_pictures(
    vae: AutoencoderKL, pictures: Iterable[Image.Image], count: int, device: torch.device
) -> Tensor:
    """The latents of `count` pictures of one size, (count, 4, h, w) in float16, scaled."""
    vae.eval()

    @torch.inference_mode()  # applies per thread
    def encode(batch: Sequence[Image.Image]) -> Tensor:
        pixels = torch.stack([to_tensor(picture) for picture in batch])
        with torch.autocast("cuda", torch.bfloat16, enabled=device.type == "cuda"):
            mean = posterior(vae, pixels.to(device)).mode()
        return (mean.float() * LATENTS.scale).half().cpu()

    # On a CPU each core encodes one picture at a time: a batch would exceed the caches.
    cores = torch.get_num_threads() if device.type == "cpu" else 1
    at_once = 1 if device.type == "cpu" else 16
    latents: list[Tensor] = []
    single = partial(torch.set_num_threads, 1) if cores > 1 else None
    with (
        ThreadPoolExecutor(cores, initializer=single) as pool,
        tqdm(total=count, desc="encode", mininterval=5) as bar,
    ):
        remaining = iter(pictures)
        while batches := [
            batch for _ in range(cores) if (batch := tuple(islice(remaining, at_once)))
        ]:
            latents += pool.map(encode, batches)
            bar.update(sum(map(len, batches)))
    return torch.cat(latents)


def random_scenes(count: int, rng: random.Random) -> list[Scene]:
    """Scenes with as many pairs as the training wants."""
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
    scenes = random_scenes(count, rng)
    if path.exists() and (cached := torch.load(path)).get("scenes") == repr(scenes):
        return EncodedScenes(scenes, cached["latents"])
    encoded = encode_scenes(vae, count, seed, size, device)
    save_state(path, latents=encoded.latents, scenes=repr(scenes))
    return encoded
