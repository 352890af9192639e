"""Previews of images that are being generated, without the cost of decoding them.

A small decoder (TAESD) makes them where one is installed and takes a few milliseconds: on a GPU,
and on a CPU for small pictures of small models. Elsewhere it would slow down the sampling, for
which a CPU needs all cores: there previews are a linear projection (latent2rgb).

The colour of a latent is nearly a linear function of its channels. The function depends on the
autoencoder, so it is fitted to each: the autoencoder encodes a chart of known colours, and least
squares solve for the inverse. Random latents and their decoding would fit worse, because no image
has such latents.
"""

import itertools
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from weakref import WeakKeyDictionary

import torch
from PIL.Image import Image, Resampling
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from stable_diffusion.autoencoder.small_autoencoder import SmallAutoencoder
from stable_diffusion.cuda.device_thread import thread_of
from stable_diffusion.errors import ModelError
from stable_diffusion.image import to_image
from stable_diffusion.model import Model
from stable_diffusion.weights.mapped import MappedFiles
from stable_diffusion.weights.small_vae_files import read_small_autoencoder

log = logging.getLogger(__name__)

_LEVELS = (-0.9, -0.3, 0.3, 0.9)
_PATCH = 2
"""Latents along the side of each colour of the chart, all of which see neighbouring colours too."""
_STRIDE = 37
"""The chart takes every 37th of the 64 colours, so that neighbours on it differ."""
_MAX_LATENTS_ON_CPU = 32 * 32
"""What a small decoder of a small model decodes in a few hundredths of a second."""
_MAX_SIDE = 256
"""Side of a decoded preview in pixels; more would fill Redis and the connections."""


@dataclass(frozen=True)
class Projection:
    """A linear map from latents to colours: rgb = weight · latent + offset.

    Attributes:
        weight: (3, C) float32 on the CPU.
        offset: (3,); colours are in -1..1.
    """

    weight: Tensor
    offset: Tensor

    @torch.inference_mode()
    def __call__(self, latents: Tensor) -> Image:
        """Latents (C, h, w) at unit variance → an RGB image of w x h pixels.

        Waits for the latents if a GPU is still computing them.
        """
        colours = torch.einsum("rc,chw->rhw", self.weight, latents.float().cpu())
        return to_image(colours + self.offset[:, None, None])


@dataclass(frozen=True)
class DecodedPreview:
    """What a small decoder makes of latents.

    Attributes:
        decoder: takes latents at unit variance.
        device: that of its weights.
    """

    decoder: nn.Module
    device: torch.device

    @torch.inference_mode()
    def __call__(self, latents: Tensor) -> Image:
        """Latents (C, h, w) at unit variance → an RGB image, at most 256 pixels wide and high."""
        image = to_image(self.decoder(latents[None].float().to(self.device))[0].cpu())
        image.thumbnail((_MAX_SIDE, _MAX_SIDE), Resampling.BOX)
        return image


class LatentPreview:
    """The previews of all autoencoders in use. Safe to share between threads.

    Fitting a projection costs the encoding of 128 x 128 pixels, a sixteenth of that of 512 x 512:
    about a second for Stable Diffusion on one core, 20 ms for the tiny model. Each autoencoder is
    fitted once; models with LoRAs share theirs with their base. The projection of a deleted
    autoencoder is deleted.

    Args:
        small_decoder: finds the file of a small decoder by the name of `Latents.small_decoder`;
            None: it is not installed. A file that cannot be used is logged, and passed over until
            it changes.
    """

    def __init__(self, small_decoder: Callable[[str], Path | None] = lambda _name: None) -> None:
        self._lock = threading.Lock()
        self._fitted: WeakKeyDictionary[nn.Module, Projection] = WeakKeyDictionary()
        self._find = small_decoder
        self._read: dict[tuple[str, torch.device], tuple[object, DecodedPreview | None]] = {}

    def __len__(self) -> int:
        return len(self._fitted)

    def image(self, model: Model, latents: Tensor) -> Image:
        """The preview of latents (C, h, w) at unit variance of a model."""
        height, width = latents.shape[1:]
        few = model.family.small and height * width <= _MAX_LATENTS_ON_CPU
        small = self._small(model) if few or model.networks.vae.device.type != "cpu" else None
        return (small or self.projection(model))(latents)

    def _small(self, model: Model) -> DecodedPreview | None:
        """The small decoder of a model's latents; None: there is none."""
        vae, family = model.networks.vae, model.family
        if isinstance(vae, SmallAutoencoder):
            return DecodedPreview(vae.decoder, vae.device)
        path = self._find(family.latents.small_decoder)
        if path is None:
            return None
        with self._lock:
            version = path, path.stat().st_mtime_ns if path.exists() else 0
            known, preview = self._read.get((family.id, vae.device), (None, None))
            if known != version:
                try:
                    read = read_small_autoencoder(path, family, vae, vae.device, torch.float32)
                    preview = DecodedPreview(read.decoder, vae.device)
                except (ModelError, OSError) as error:
                    log.warning("no previews of %s by %s: %s", family.id, path.name, error)
                    preview = None
                self._read[family.id, vae.device] = version, preview
            return preview

    def projection(self, model: Model) -> Projection:
        """The projection of a model's latents."""
        vae = model.networks.vae
        with self._lock:
            found = self._fitted.get(vae)
            if found is None:
                # on the device that holds the weights, which may be another than the model's
                resting = replace(model, device=vae.device, device_thread=thread_of(vae.device))
                found = self._fitted[vae] = fitted(resting)
                files = MappedFiles()
                for weight in vae.encoder.parameters():
                    files.release(weight)
            return found


def fitted(model: Model) -> Projection:
    """Fit a projection to the model's autoencoder. Does not change the model."""
    factor = model.family.latents.factor
    chart = colour_chart(factor)
    latents = model.encode(chart).flatten(1).T
    colours = avg_pool2d(chart[None], factor)[0].flatten(1).T
    known = torch.cat([latents, torch.ones(len(latents), 1)], dim=1)
    solved = torch.linalg.lstsq(known, colours).solution
    return Projection(solved[:-1].T.contiguous(), solved[-1])


def colour_chart(factor: int) -> Tensor:
    """An image (3, 16·factor, 16·factor) in -1..1 of 64 colours that fill the RGB cube.

    Args:
        factor: pixels of an image's side for one latent's.
    """
    colours = torch.tensor(list(itertools.product(_LEVELS, repeat=3)))
    count = len(colours)
    mixed = colours[torch.arange(count) * _STRIDE % count]
    patches = mixed.T.reshape(1, 3, 8, 8)
    return interpolate(patches, scale_factor=float(_PATCH * factor), mode="nearest")[0]
