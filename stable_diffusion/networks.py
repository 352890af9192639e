"""The three networks of a model, and calls to them with the types that diffusers leaves open."""

from dataclasses import dataclass
from typing import TypeVar, cast

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.vae import DecoderOutput, DiagonalGaussianDistribution
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from diffusers.models.unets.unet_2d_condition import (
    UNet2DConditionModel,
    UNet2DConditionOutput,
)
from torch import FloatTensor, Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from stable_diffusion.conditioning import Conditioning
from stable_diffusion.variants import Variant

M = TypeVar("M", bound=nn.Module)


class UNet(UNet2DConditionModel):
    """diffusers' own, which asks for its type at every evaluation and looks for it everywhere."""

    @property
    def dtype(self) -> torch.dtype:
        """The type of its weights."""
        return self.conv_in.weight.dtype


@dataclass(frozen=True)
class Networks:
    """Text encoder, UNet and autoencoder of one variant.

    Attributes:
        half: the UNet once more in half precision, where the device gains by it; see `half`.
    """

    text: CLIPTextModel
    unet: UNet2DConditionModel
    vae: AutoencoderKL
    half: UNet2DConditionModel | None = None


def parts_of(networks: Networks) -> tuple[tuple[str, nn.Module], ...]:
    """The networks, each with its short name."""
    parts = ("text", networks.text), ("unet", networks.unet), ("vae", networks.vae)
    return (*parts, ("half", networks.half)) if networks.half else parts


def size_of(networks: Networks) -> int:
    """The bytes of all weights."""
    return sum(p.nbytes for _, module in parts_of(networks) for p in module.parameters())


def build_networks(variant: Variant) -> Networks:
    """Networks with fresh weights on the current default device (`meta` for none at all)."""
    return Networks(
        CLIPTextModel(CLIPTextConfig(**variant.text)),
        UNet(**variant.unet),
        AutoencoderKL(**variant.vae),
    )


def placed(module: M, device: torch.device | None = None, *, channels_last: bool = False) -> M:
    """The module itself, moved; with its convolutions' weights in the layout that is quickest."""
    plain: nn.Module = module
    if device is not None:
        plain.to(device)
    if channels_last:
        plain.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return module


def text_states(text: CLIPTextModel, token_ids: Tensor) -> Tensor:
    """Token ids (n, 77) → the last layer's states after its norm, (n, 77, width)."""
    states = text(token_ids).last_hidden_state
    assert states is not None
    return states


def unet_prediction(
    unet: UNet2DConditionModel, x: Tensor, t: Tensor, conditioning: Conditioning
) -> Tensor:
    """Noisy latents (n, C, h, w), timesteps (n,), n rows of conditioning → (n, C, h, w).

    The only function that reads the fields of a `Conditioning`; none reads `controls` yet.
    """
    added = None
    if conditioning.pooled is not None:
        added = {"text_embeds": conditioning.pooled, "time_ids": conditioning.time_ids}
    output = unet(x, t, conditioning.context, added_cond_kwargs=added)
    return cast(UNet2DConditionOutput, output).sample


def posterior(vae: AutoencoderKL, pictures: Tensor) -> DiagonalGaussianDistribution:
    """Pictures (n, 3, H, W) in -1..1 → the distribution of their unscaled latents."""
    return cast(AutoencoderKLOutput, vae.encode(pictures)).latent_dist


def decoded(vae: AutoencoderKL, latents: Tensor) -> Tensor:
    """Unscaled latents (n, 4, h, w) → pictures (n, 3, 8h, 8w), about -1..1."""
    return cast(DecoderOutput, vae.decode(cast(FloatTensor, latents))).sample
