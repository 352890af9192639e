"""Random textures with the statistics of photographs, which drawings do not have.

An upscaler trained on flat drawings only would flatten everything else. Dead leaves (Lee, Mumford,
Huang 2001) have the edges, occlusions and scales of natural scenes, clouds their spectrum; waves
have lines of every direction and width; gradients must stay free of steps.
"""

import random

import numpy
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Pixels = NDArray[numpy.floating]
SUPERSAMPLING = 2


def gradient(size: int, rng: random.Random) -> Pixels:
    """A linear or radial gradient between two colours. (size, size, 3), 0..1."""
    y, x = _grid(size)
    if rng.random() < 0.5:
        angle = rng.uniform(0, 2 * numpy.pi)
        ramp = x * numpy.cos(angle) + y * numpy.sin(angle)
    else:
        ramp = numpy.hypot(x - rng.uniform(-0.5, 0.5), y - rng.uniform(-0.5, 0.5))
    ramp = (ramp - ramp.min()) / (ramp.max() - ramp.min())
    return _between(ramp ** rng.uniform(0.5, 2.0), rng)


def clouds(size: int, rng: random.Random) -> Pixels:
    """Noise with amplitude 1/f^a; photographs have an a near 1. (size, size, 3), 0..1."""
    frequencies = numpy.hypot(numpy.fft.fftfreq(size)[:, None], numpy.fft.rfftfreq(size)[None])
    frequencies[0, 0] = 1
    generator = numpy.random.default_rng(rng.getrandbits(32))
    falling = frequencies ** -rng.uniform(0.8, 2.2)
    falling[0, 0] = 0
    shared = rng.uniform(0.4, 1.0)  # correlation of the three colours
    layers = [generator.standard_normal((size, size)) for _ in range(4)]
    fields = [numpy.fft.irfft2(numpy.fft.rfft2(layer) * falling, (size, size)) for layer in layers]
    colours = [shared * fields[0] + (1 - shared) * field for field in fields[1:]]
    picture = numpy.stack(colours, -1)
    contrast = rng.uniform(0.08, 0.25) / picture.std()
    return _clipped(rng.uniform(0.3, 0.7) + contrast * picture)


def waves(size: int, rng: random.Random) -> Pixels:
    """Stripes or rings, smooth or sharp, two colours. (size, size, 3), 0..1."""
    y, x = _grid(size * SUPERSAMPLING)
    angle = rng.uniform(0, numpy.pi)
    along = x * numpy.cos(angle) + y * numpy.sin(angle)
    if rng.random() < 0.4:
        along = numpy.hypot(x - rng.uniform(-1, 1), y - rng.uniform(-1, 1))
    # a period of 6 to 64 pixels; finer stripes are lost at half the size
    turns = numpy.pi * size / rng.uniform(6, 64)
    sharpness = 2 ** rng.uniform(0, 4)
    return _halved(_between(0.5 + 0.5 * numpy.tanh(sharpness * numpy.sin(turns * along)), rng))


def dead_leaves(size: int, rng: random.Random) -> Pixels:
    """Overlapping discs and polygons with a power law of sizes; some shaded. (size, size, 3)."""
    side = size * SUPERSAMPLING
    image = Image.new("RGB", (side, side), _colour(rng))
    canvas = ImageDraw.Draw(image)
    for _ in range(rng.randrange(40, 400)):
        radius = side / 2 * (1 + 40 * rng.random()) ** -1
        x, y = rng.uniform(0, side), rng.uniform(0, side)
        if rng.random() < 0.5:
            canvas.ellipse([x - radius, y - radius, x + radius, y + radius], fill=_colour(rng))
        else:
            angles = sorted(rng.uniform(0, 2 * numpy.pi) for _ in range(rng.randrange(3, 7)))
            corners = [(x + radius * numpy.cos(a), y + radius * numpy.sin(a)) for a in angles]
            canvas.polygon(corners, fill=_colour(rng))
    if rng.random() < 0.4:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 4)))
    picture = _halved(numpy.asarray(image, numpy.float32) / 255)
    if rng.random() < 0.5:
        picture = picture + rng.uniform(0.1, 0.5) * (clouds(size, rng) - 0.5)
    return _clipped(picture)


def texture(size: int, rng: random.Random) -> Image.Image:
    """A random texture as an RGB picture of size x size pixels."""
    make = rng.choices((gradient, clouds, waves, dead_leaves), (0.15, 0.4, 0.15, 0.3))[0]
    return to_picture(make(size, rng))


def to_picture(pixels: Pixels) -> Image.Image:
    """(h, w, 3) in 0..1 → RGB."""
    return Image.fromarray((pixels * 255).round().astype(numpy.uint8))


def _grid(size: int) -> tuple[Pixels, Pixels]:
    line = numpy.linspace(-1, 1, size, dtype=numpy.float32)
    return line[:, None], line[None, :]


def _between(share: Pixels, rng: random.Random) -> Pixels:
    first, second = (numpy.array(_colour(rng), numpy.float32) / 255 for _ in range(2))
    return first + share[..., None] * (second - first)


def _halved(picture: Pixels) -> Pixels:
    side = len(picture) // SUPERSAMPLING
    return picture.reshape(side, SUPERSAMPLING, side, SUPERSAMPLING, 3).mean((1, 3))


def _clipped(picture: Pixels) -> Pixels:
    return picture.clip(0, 1).astype(numpy.float32)


def _colour(rng: random.Random) -> tuple[int, int, int]:
    return rng.randrange(256), rng.randrange(256), rng.randrange(256)
