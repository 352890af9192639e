"""A model's networks, and calls to them with the types that diffusers leaves open."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar, cast

import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.vae import DecoderOutput, DiagonalGaussianDistribution
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from diffusers.models.unets.unet_2d_condition import (
    UNet2DConditionModel,
    UNet2DConditionOutput,
)
from torch import FloatTensor, Tensor, nn
from transformers import CLIPTextModel

from stable_diffusion.autoencoder.small_autoencoder import SmallAutoencoder
from stable_diffusion.conditioning import Conditioning
from stable_diffusion.families.family import Family

M = TypeVar("M", bound=nn.Module)


class UNet(UNet2DConditionModel):
    """diffusers' own, which looks up its type in all its parameters at every evaluation."""

    @property
    def dtype(self) -> torch.dtype:
        """The type of its norms; the weights of its layers may have another, see `Family.large`."""
        assert self.conv_norm_out is not None
        return self.conv_norm_out.weight.dtype


@dataclass(frozen=True)
class Networks:
    """The networks of a model: those of its family's parts.

    Attributes:
        parts: by the part's name, in the family's order; a `unet`, a `vae` and text encoders.
    """

    parts: Mapping[str, nn.Module]

    @property
    def unet(self) -> UNet2DConditionModel:
        """Predicts the noise, or v."""
        return cast(UNet2DConditionModel, self.parts["unet"])

    @property
    def vae(self) -> AutoencoderKL | SmallAutoencoder:
        """Encodes images to latents and decodes them."""
        return cast(AutoencoderKL | SmallAutoencoder, self.parts["vae"])

    @property
    def full_vae(self) -> AutoencoderKL:
        """The same of a model that has no small autoencoder. Raises TypeError for another."""
        if isinstance(self.vae, SmallAutoencoder):
            raise TypeError("the model has a small autoencoder")
        return self.vae

    @property
    def text_encoders(self) -> dict[str, CLIPTextModel]:
        """All other networks, by name."""
        return {
            name: cast(CLIPTextModel, module)
            for name, module in self.parts.items()
            if name not in ("unet", "vae")
        }

    @property
    def text(self) -> CLIPTextModel:
        """The first text encoder."""
        return next(iter(self.text_encoders.values()))

    def with_parts(self, **modules: nn.Module) -> "Networks":
        """The same with other modules for the parts named."""
        return replace(self, parts={**self.parts, **modules})

    def map(self, function: Callable[[nn.Module], nn.Module]) -> "Networks":
        """The results of a function of each network."""
        return Networks({name: function(module) for name, module in self.parts.items()})


def parts_of(networks: Networks) -> tuple[tuple[str, nn.Module], ...]:
    """The networks with their names."""
    return tuple(networks.parts.items())


def sizes_of(networks: Networks) -> dict[str, int]:
    """The bytes of the weights of each network, by name."""
    return {part: sum(p.nbytes for p in module.parameters()) for part, module in parts_of(networks)}


def size_of(networks: Networks) -> int:
    """The bytes of all weights."""
    return sum(sizes_of(networks).values())


def build_networks(family: Family) -> Networks:
    """Networks with fresh weights on the default device (`meta`: without any)."""
    return Networks({part.name: part.build() for part in family.parts})


def moved(module: M, device: torch.device | None = None, *, channels_last: bool = False) -> M:
    """The module itself on another device, or with its convolutions in the fastest layout."""
    plain: nn.Module = module
    if device is not None:
        plain.to(device)
    if channels_last:
        plain.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return module


def text_states(text: CLIPTextModel, token_ids: Tensor, clip_skip: int = 1) -> Tensor:
    """Token ids (n, 77) → the states of a layer after the encoder's final norm, (n, 77, width).

    Args:
        clip_skip: which layer, counted from the last one, 1, up to the number of layers.
    """
    if clip_skip == 1:
        states = text(token_ids).last_hidden_state
        assert states is not None
        return states
    hidden = text(token_ids, output_hidden_states=True).hidden_states
    assert hidden is not None
    states, norm = hidden[-clip_skip], text.final_layer_norm
    # an offloaded encoder has left the device by now
    weight, bias = norm.weight.to(states.device), norm.bias.to(states.device)
    return F.layer_norm(states, norm.normalized_shape, weight, bias, norm.eps)


def unet_prediction(
    unet: UNet2DConditionModel, x: Tensor, t: Tensor, conditioning: Conditioning
) -> Tensor:
    """Noisy latents (n, C, h, w), timesteps (n,), n rows of conditioning → (n, C, h, w)."""
    x, added = unet_inputs(x, conditioning)
    output = unet(
        x,
        t,
        conditioning.context,
        timestep_cond=conditioning.guidance,
        added_cond_kwargs=added,
    )
    return cast(UNet2DConditionOutput, output).sample


def unet_inputs(
    x: Tensor, conditioning: Conditioning
) -> tuple[Tensor, dict[str, Tensor | None] | None]:
    """Latents with the channels behind them, and what diffusers takes as `added_cond_kwargs`.

    With its callers the only reader of the fields of a `Conditioning`; none reads `controls` yet.
    """
    if conditioning.concat is not None:
        x = torch.cat([x, conditioning.concat], 1).contiguous(memory_format=torch.channels_last)
    if conditioning.pooled is None:
        return x, None
    return x, {"text_embeds": conditioning.pooled, "time_ids": conditioning.time_ids}


def empty_conditioning(unet: UNet2DConditionModel) -> Conditioning:
    """One row without values on the default device, in the shapes that a UNet takes."""
    context = torch.empty(1, 77, unet.config["cross_attention_dim"])
    width = unet.config["time_cond_proj_dim"]
    guidance = None if width is None else torch.empty(1, width)
    if unet.config["addition_embed_type"] != "text_time":
        return Conditioning(context, guidance=guidance)
    embedded = unet.config["addition_time_embed_dim"]
    # only the width of both together is known: the pooled text and the embedded sizes
    pooled = unet.config["projection_class_embeddings_input_dim"] - embedded
    return Conditioning(context, torch.empty(1, pooled), torch.empty(1, 1), guidance=guidance)


def posterior(
    vae: AutoencoderKL | SmallAutoencoder, images: Tensor
) -> DiagonalGaussianDistribution:
    """Images (n, 3, H, W) in -1..1 → the distribution of their unscaled latents."""
    return cast(AutoencoderKLOutput, vae.encode(images)).latent_dist


def decoded(vae: AutoencoderKL | SmallAutoencoder, latents: Tensor) -> Tensor:
    """Unscaled latents (n, C, h, w) → images (n, 3, H, W), about -1..1."""
    return cast(DecoderOutput, vae.decode(cast(FloatTensor, latents))).sample
