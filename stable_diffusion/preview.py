"""What a picture looks like while it is being drawn, without the cost of decoding it.

Of a latent's colour nearly all is a linear function of its four numbers. Which one depends on the
autoencoder, so it is learned from the autoencoder at hand: it encodes a chart of known colours, and
least squares finds the way back. A chart is better than made-up latents and their decoding, which
are unlike any that a picture has.
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

from stable_diffusion.image import to_image
from stable_diffusion.model import Model
from stable_diffusion.weights.mapped import MappedFiles

_LEVELS = (-0.9, -0.3, 0.3, 0.9)
_PATCH = 2
"""Latents along the side of each colour of the chart, all of which see neighbouring colours too."""
_STRIDE = 37
"""Of the 64 colours every 37th comes next, so that neighbours on the chart are not alike."""


@dataclass(frozen=True)
class Projection:
    """Latents to colours, each by itself: rgb = weight · latent + offset.

    Attributes:
        weight: (3, 4) float32 on the CPU.
        offset: (3,), of colours in -1..1.
    """

    weight: Tensor
    offset: Tensor

    @torch.inference_mode()
    def __call__(self, latents: Tensor) -> Image:
        """Latents (4, h, w) at unit variance → an RGB picture of w x h pixels.

        Waits for the latents, if they are still being computed on a GPU.
        """
        colours = torch.einsum("rc,chw->rhw", self.weight, latents.float().cpu())
        return to_image(colours + self.offset[:, None, None])


class LatentPreview:
    """The projection of every autoencoder in use. Safe to share between threads.

    Fitting one costs the encoding of 128 x 128 pixels, a sixteenth of that of 512 x 512: about a
    second for Stable Diffusion on one core, 20 ms for the tiny model. It is done once for each
    autoencoder, which models with LoRAs share with the one they were made of, and forgotten with
    it.
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
                # where the weights rest, wherever else the model computes: see `memory_plan`
                found = self._fitted[vae] = fitted(replace(model, device=vae.device))
                files = MappedFiles()
                for weight in vae.encoder.parameters():
                    files.give_back(weight)
            return found


def fitted(model: Model) -> Projection:
    """The projection that is nearest to the model's autoencoder. Changes nothing in the model."""
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
