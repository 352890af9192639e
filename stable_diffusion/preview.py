"""Previews of images that are being generated, without the cost of decoding them (latent2rgb).

The colour of a latent is nearly a linear function of its channels. The function depends on the
autoencoder, so it is fitted to each: the autoencoder encodes a chart of known colours, and least
squares solve for the inverse. Random latents and their decoding would fit worse, because no image
has such latents.
"""

import itertools
import threading
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from PIL.Image import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from stable_diffusion.device_thread import thread_of
from stable_diffusion.image import to_image
from stable_diffusion.model import Model
from stable_diffusion.weights.mapped import MappedFiles

_LEVELS = (-0.9, -0.3, 0.3, 0.9)
_PATCH = 2
"""Latents along the side of each colour of the chart, all of which see neighbouring colours too."""
_STRIDE = 37
"""The chart takes every 37th of the 64 colours, so that neighbours on it differ."""


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


class LatentPreview:
    """The projections of all autoencoders in use. Safe to share between threads.

    Fitting one costs the encoding of 128 x 128 pixels, a sixteenth of that of 512 x 512: about a
    second for Stable Diffusion on one core, 20 ms for the tiny model. Each autoencoder is fitted
    once; models with LoRAs share theirs with their base. The projection of a deleted autoencoder
    is deleted.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fitted: WeakKeyDictionary[AutoencoderKL, Projection] = WeakKeyDictionary()

    def __len__(self) -> int:
        return len(self._fitted)

    def of(self, model: Model) -> Projection:
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
