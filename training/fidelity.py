"""How true an upscaler is, beside bicubic: `python -m training.fidelity [file]`.

Pictures that it was not taught on are halved, doubled again by both, and compared with what they
were. PSNR in decibels: each 6 dB halve the error.
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
from stable_diffusion.model import Model, load_model
from stable_diffusion.upscale import Upscaler, load_upscaler, upscale
from training.degradation import degraded, halved
from training.drawings import draw
from training.scenes import random_scene
from training.textures import clouds, dead_leaves, gradient, texture, to_picture, waves

Pair = tuple[Image.Image, Image.Image]
Kind = Callable[[random.Random], Pair]


@dataclass(frozen=True)
class Figure:
    """Mean PSNR over pictures of a kind, ours and bicubic's."""

    kind: str
    ours: float
    bicubic: float

    def __str__(self) -> str:
        return f"| {self.kind} | {self.ours:.2f} | {self.bicubic:.2f} |"


def psnr(picture: Image.Image, truth: Image.Image) -> float:
    """Peak signal to noise ratio in dB; identical pictures have that of half a grey level."""
    difference = numpy.asarray(picture, numpy.float64) - numpy.asarray(truth, numpy.float64)
    return float(10 * numpy.log10(255**2 / max((difference**2).mean(), 0.25)))


def bicubic(picture: Image.Image) -> Image.Image:
    """Twice the size, by the usual filter."""
    return picture.resize((2 * picture.width, 2 * picture.height), Image.Resampling.BICUBIC)


def judge(upscaler: Upscaler, kind: str, pair: Kind, count: int, seed: int = 9001) -> Figure:
    """Double `count` small pictures of a kind; `pair` makes one, and its truth."""
    rng = random.Random(seed)
    pairs = [pair(rng) for _ in range(count)]
    ours = [psnr(upscale(upscaler, small), large) for small, large in pairs]
    usual = [psnr(bicubic(small), large) for small, large in pairs]
    return Figure(kind, sum(ours) / count, sum(usual) / count)


def drawing(rng: random.Random, size: int = 512) -> Pair:
    """A drawing, halved."""
    large = draw(random_scene(rng), size, size, rng)
    return halved(large, rng), large


def made_of(pixels: Callable[[int, random.Random], numpy.ndarray]) -> Kind:
    """A texture of one sort, halved."""

    def pair(rng: random.Random) -> Pair:
        large = to_picture(pixels(256, rng))
        return halved(large, rng), large

    return pair


def mixture(rng: random.Random) -> Pair:
    """A drawing or a texture, and now and then a blurred, noisy or compressed one."""
    large = texture(256, rng) if rng.random() < 0.5 else drawing(rng, 256)[1]
    return degraded(large, rng), large


def returned(model: Model) -> Kind:
    """A drawing that the model's autoencoder had when it was small."""

    def pair(rng: random.Random) -> Pair:
        small, large = drawing(rng)
        return to_image(model.decode(model.encode(to_tensor(small)))), large

    return pair


def figures(upscaler: Upscaler, count: int) -> Iterator[Figure]:
    """All kinds of pictures."""
    yield judge(upscaler, "drawings", drawing, count)
    through_autoencoder = returned(load_model(tiny.PATH, name="tiny"))
    yield judge(upscaler, "drawings from the autoencoder", through_autoencoder, count)
    for name, pixels in (
        ("gradients", gradient),
        ("dead leaves", dead_leaves),
        ("clouds (1/f)", clouds),
        ("waves", waves),
    ):
        yield judge(upscaler, name, made_of(pixels), count)
    yield judge(upscaler, "everything, some of it spoiled", mixture, 2 * count)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, nargs="?", default=tiny.UPSCALER_PATH)
    parser.add_argument("--count", type=int, default=24, help="pictures of each kind")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    upscaler = load_upscaler(arguments.file)
    print("| pictures | ours, dB | bicubic, dB |\n|---|---|---|")
    for figure in figures(upscaler, arguments.count):
        print(figure, flush=True)


if __name__ == "__main__":
    main()
