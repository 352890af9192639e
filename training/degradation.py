"""Degrades pictures to half their size: the upscaler's training inputs.

A simple form of Real-ESRGAN (Wang et al. 2021, section 3): one round of blur, resizing with one of
several filters, noise and JPEG, each with some probability, so that clean pictures stay clean.
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
DEGRADED_SHARE = 0.2  # share of pictures with more degradation than the resize


def halved(picture: Image.Image, rng: random.Random) -> Image.Image:
    """Half the size, with a random filter. Sides must be even."""
    return picture.resize((picture.width // 2, picture.height // 2), rng.choice(FILTERS))


def degraded(picture: Image.Image, rng: random.Random) -> Image.Image:
    """Half the size; `DEGRADED_SHARE` of them also slightly blurred, noisy or compressed."""
    if rng.random() > DEGRADED_SHARE:
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
