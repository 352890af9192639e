"""The images that a job starts from, as latents, and what becomes of them in the sampling."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy
import torch
from PIL.Image import Image
from torch import Tensor
from torch.nn.functional import max_pool2d

from stable_diffusion.families.unet_inputs import UNetInputs
from stable_diffusion.image import to_tensor
from stable_diffusion.masks import filled
from stable_diffusion.model import Model
from stable_diffusion.recipe import MaskFill, Recipe
from stable_diffusion.samplers.keep import Keep


@dataclass(frozen=True, eq=False)
class InitLatents:
    """Of one job.

    Attributes:
        image: (1, C, h, w) latents of the init image; None: text to image.
        mask: (h, w) in 0..1, where 1 is drawn anew; None: no mask.
        concat: (1, K, h, w) what the network takes beside the noisy latents; None: nothing.
        fill: what the sampling starts from where the mask is.
        soft_only: see `Keep`.
    """

    image: Tensor | None
    mask: Tensor | None
    concat: Tensor | None
    fill: MaskFill
    soft_only: bool

    def start(self, noise: Tensor) -> Tensor | None:
        """(n or 1, C, h, w) the latents that the noise is added to; None: text to image.

        Args:
            noise: (n or 1, C, h, w), what `noise` fills with, as AUTOMATIC1111 takes it.
        """
        if self.image is None or self.mask is None or self.fill not in ("noise", "latent_nothing"):
            return self.image
        content = noise if self.fill == "noise" else torch.zeros_like(self.image)
        return torch.where(self.mask >= 0.5, content, self.image)

    def changes(
        self, timesteps: Sequence[float], device: torch.device, network: UNetInputs
    ) -> tuple[Keep, ...]:
        """The changes of the estimates.

        Args:
            timesteps: see `Keep`.
            network: what the one that estimates takes, which need not be the first one of the job.
        """
        if self.image is None or self.mask is None:
            return ()
        image, mask = self.image.to(device), self.mask.to(device)
        return (Keep(image, mask, timesteps, network.keeps_unmasked),)

    def finished(self, latents: Tensor) -> Tensor:
        """The sampled latents with the image where the mask keeps it to the end.

        A sampler may leave a little noise there, or another scale; diffusers and AUTOMATIC1111 put
        the image back once more as well.
        """
        if self.image is None or self.mask is None or self.soft_only:
            return latents
        kept = (self.mask == 0).to(latents.device)
        return torch.where(kept, self.image.to(latents.device), latents)


def _values(mask: Image) -> Tensor:
    """A mask of mode L → (1, H, W) float32 in 0..1."""
    return torch.from_numpy(numpy.asarray(mask, dtype=numpy.float32) / 255)[None]


def encode_inputs(model: Model, recipe: Recipe) -> InitLatents:
    """Encode the init image of a recipe, if it has one, and what else the network takes.

    Raises:
        RecipeError: the network needs an init image.
    """
    unet_inputs, latents = model.family.unet_inputs, model.family.latents
    picture, mask = recipe.init_image, recipe.mask
    if picture is not None and mask is not None and recipe.mask_fill == "fill":
        picture = filled(picture, mask)
    image = None if picture is None else to_tensor(picture)
    values = None if mask is None else _values(mask)
    return InitLatents(
        image=None if image is None else model.encode(image)[None],
        mask=None if values is None else max_pool2d(values, latents.factor)[0],
        concat=unet_inputs.concat(model.encode, latents, recipe.size, image, values),
        fill=recipe.mask_fill,
        soft_only=unet_inputs.keeps_unmasked,
    )
