"""How a picture loses half of its size: the small pictures that the upscaler learns to undo.

Real-ESRGAN's idea (Wang et al. 2021, section 3) kept simple: one round of blur, reduction by one of
several filters, noise and JPEG, each only sometimes, so that clean pictures stay what they are.
"""

import io
import random

import numpy
from PIL import Image, ImageFilter

FILTERS = (
    Image.Resampling.BOX,
    Image.Resampling.BILINEAR,
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
)
SPOILED = 0.2  # share of pictures that lose more than their size


def halved(picture: Image.Image, rng: random.Random) -> Image.Image:
    """Half the size and nothing else, by a filter at random. Sides must be even."""
    return picture.resize((picture.width // 2, picture.height // 2), rng.choice(FILTERS))


def degraded(picture: Image.Image, rng: random.Random) -> Image.Image:
    """Half the size; `SPOILED` of them also blurred, noisy or compressed, a little."""
    if rng.random() > SPOILED:
        return halved(picture, rng)
    if rng.random() < 0.5:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.0)))
    small = halved(picture, rng)
    if rng.random() < 0.5:
        small = _noisy(small, rng)
    return _compressed(small, rng) if rng.random() < 0.5 else small


def _noisy(picture: Image.Image, rng: random.Random) -> Image.Image:
    generator = numpy.random.default_rng(rng.getrandbits(32))
    pixels = numpy.asarray(picture, numpy.float32)
    noise = generator.standard_normal(pixels.shape, dtype=numpy.float32) * rng.uniform(1, 5)
    return Image.fromarray((pixels + noise).round().clip(0, 255).astype(numpy.uint8))


def _compressed(picture: Image.Image, rng: random.Random) -> Image.Image:
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=rng.randrange(60, 96))
    return Image.open(data).convert("RGB")
