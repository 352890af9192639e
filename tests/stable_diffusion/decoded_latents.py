"""The latents of a generation, as they are before they are decoded."""

import torch
from torch import Tensor

from stable_diffusion.generate import generate
from stable_diffusion.model import Model
from stable_diffusion.recipe import Recipe

_decoded: list[Tensor] = []


class _Recording(Model):
    """A model that keeps the latents that it decodes."""

    def decode(self, latents: Tensor, *, precision: str = "full") -> Tensor:
        _decoded.append(latents.cpu())
        return super().decode(latents, precision=precision)


def decoded_latents(model: Model, recipe: Recipe) -> Tensor:
    """Those of all pictures of a recipe, (n, C, h, w)."""
    _decoded.clear()
    list(generate(_Recording(**vars(model)), recipe))
    return torch.stack(_decoded)
