"""Compares an upscaler with bicubic interpolation: `python -m training.fidelity [file]`.

Halves pictures from outside its training set, doubles them with both, and compares the results with
the originals. PSNR in decibels: 6 dB more is half the error.
"""

import argparse
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy
import torch
from PIL import Image

from stable_diffusion import tiny
from stable_diffusion.image import to_image, to_tensor
from stable_diffusion.load_model import load_model
from stable_diffusion.model import Model
from stable_diffusion.upscaling.upscale import Upscaler, load_upscaler, upscale
from training.degradation import degraded, halved
from training.drawings import draw
from training.scenes import random_scene
from training.textures import clouds, dead_leaves, gradient, texture, to_picture, waves

Pair = tuple[Image.Image, Image.Image]
PairMaker = Callable[[random.Random], Pair]


@dataclass(frozen=True)
class Comparison:
    """Mean PSNR in dB over some pictures, of the upscaler and of bicubic interpolation."""

    pictures: str
    ours: float
    bicubic: float

    def __str__(self) -> str:
        return f"| {self.pictures} | {self.ours:.2f} | {self.bicubic:.2f} |"


def psnr(picture: Image.Image, truth: Image.Image) -> float:
    """Peak signal-to-noise ratio in dB; identical pictures count as half a grey level apart."""
    difference = numpy.asarray(picture, numpy.float64) - numpy.asarray(truth, numpy.float64)
    return float(10 * numpy.log10(255**2 / max((difference**2).mean(), 0.25)))


def bicubic(picture: Image.Image) -> Image.Image:
    """Twice the size, with bicubic interpolation."""
    return picture.resize((2 * picture.width, 2 * picture.height), Image.Resampling.BICUBIC)


def compare(
    upscaler: Upscaler, pictures: str, pair: PairMaker, count: int, seed: int = 9001
) -> Comparison:
    """Double `count` small pictures; `pair` makes a small picture and its original."""
    rng = random.Random(seed)
    pairs = [pair(rng) for _ in range(count)]
    ours = [psnr(upscale(upscaler, small), large) for small, large in pairs]
    baseline = [psnr(bicubic(small), large) for small, large in pairs]
    return Comparison(pictures, sum(ours) / count, sum(baseline) / count)


def drawing(rng: random.Random, size: int = 512) -> Pair:
    """A drawing, halved."""
    large = draw(random_scene(rng), size, size, rng)
    return halved(large, rng), large


def texture_pairs(pixels: Callable[[int, random.Random], numpy.ndarray]) -> PairMaker:
    """Makes halved textures."""

    def pair(rng: random.Random) -> Pair:
        large = to_picture(pixels(256, rng))
        return halved(large, rng), large

    return pair


def mixture(rng: random.Random) -> Pair:
    """A degraded drawing or texture."""
    large = texture(256, rng) if rng.random() < 0.5 else drawing(rng, 256)[1]
    return degraded(large, rng), large


def reconstructed(model: Model) -> PairMaker:
    """Makes small drawings that the model's autoencoder has reconstructed."""

    def pair(rng: random.Random) -> Pair:
        small, large = drawing(rng)
        return to_image(model.decode(model.encode(to_tensor(small)))), large

    return pair


def comparisons(upscaler: Upscaler, count: int) -> Iterator[Comparison]:
    """Compare with all sorts of pictures."""
    yield compare(upscaler, "drawings", drawing, count)
    through_autoencoder = reconstructed(load_model(tiny.PATH, name="tiny"))
    yield compare(upscaler, "drawings from the autoencoder", through_autoencoder, count)
    for name, pixels in (
        ("gradients", gradient),
        ("dead leaves", dead_leaves),
        ("clouds (1/f)", clouds),
        ("waves", waves),
    ):
        yield compare(upscaler, name, texture_pairs(pixels), count)
    yield compare(upscaler, "all of them, some degraded", mixture, 2 * count)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, nargs="?", default=tiny.UPSCALER_PATH)
    parser.add_argument("--count", type=int, default=24, help="pictures of each sort")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    upscaler = load_upscaler(arguments.file)
    print("| pictures | ours, dB | bicubic, dB |\n|---|---|---|")
    for comparison in comparisons(upscaler, arguments.count):
        print(comparison, flush=True)


if __name__ == "__main__":
    main()
