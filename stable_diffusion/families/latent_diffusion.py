"""What Stable Diffusion 1.x, 2.x and the shipped models have in common.

One CLIP text encoder, whose width distinguishes the families; four latent channels; and the block
structure of CompVis' latent diffusion. Source: Rombach et al. 2022, arXiv:2112.10752.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from stable_diffusion.families import foreign, tensor_shapes
from stable_diffusion.families.family import Family, Latents, Shape, TextEncoding
from stable_diffusion.families.parts.part import Part
from stable_diffusion.families.parts.unet import UNetPart
from stable_diffusion.families.unet_inputs import INPAINTING, INSTRUCTION, UNetInputs

if TYPE_CHECKING:
    from stable_diffusion.conditioning import Conditioning
    from stable_diffusion.prompt.grammar import ParsedPrompt

LATENTS = Latents(channels=4, factor=8, scale=0.18215)

UNET: dict[str, Any] = {
    "in_channels": LATENTS.channels,
    "out_channels": LATENTS.channels,
    "block_out_channels": (320, 640, 1280, 1280),
    "layers_per_block": 2,
    "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
}
GUIDANCE_WIDTH = 256
"""Of the guidance scale's embedding in latent consistency models (Luo et al. 2023,
arXiv:2310.04378), diffusers' `time_cond_proj_dim`."""
VAE: dict[str, Any] = {
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "latent_channels": LATENTS.channels,
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "scaling_factor": LATENTS.scale,
}


@dataclass(frozen=True, kw_only=True, eq=False)
class LatentDiffusion(Family):
    """A family with one text encoder, recognised by its width."""

    latents: Latents = field(default=LATENTS)

    def detect(self, names: Collection[str], shape: Shape) -> bool:
        return (
            self._resembles(names, shape)
            and self._channels(names, shape) == self._in_channels
            and tensor_shapes.has_guidance_embedding(names) == (self.guidance_width > 0)
        )

    def refusal(self, names: Collection[str], shape: Shape) -> str | None:
        """Models of this architecture with inputs that are not known, such as a depth map."""
        channels = self._channels(names, shape)
        if not self._resembles(names, shape) or channels == self._in_channels:
            return None
        return (
            f"it is {foreign.purpose(channels)}: its UNet takes {channels} channels, not "
            f"{self._in_channels}"
        )

    def encode(
        self,
        model: TextEncoding,
        prompts: "Sequence[str | ParsedPrompt]",
        size: tuple[int, int],  # noqa: ARG002
        clip_skip: int = 1,
    ) -> "tuple[Conditioning, ...]":
        from stable_diffusion.prompt.conditioning import (  # noqa: PLC0415 - imports torch
            encode_prompts,
        )

        encoder = partial(model.encode_text, clip_skip=clip_skip)
        return encode_prompts(prompts, model.tokenizer, encoder)

    @property
    def _in_channels(self) -> int:
        return self.part("unet").config["in_channels"]

    def _resembles(self, names: Collection[str], shape: Shape) -> bool:
        if foreign.marked(names):
            return False
        return tensor_shapes.context_width(names, shape) == self.context_width

    def _channels(self, names: Collection[str], shape: Shape) -> int:
        found = tensor_shapes.input_channels(names, shape)
        return self.latents.channels if found is None else found


def with_further_inputs(family: LatentDiffusion) -> tuple[LatentDiffusion, ...]:
    """The family, and those whose UNets have its shape but for what they take beside it."""
    guided = replace(
        family,
        id=f"{family.id}-lcm",
        parts=_with_unet(family, time_cond_proj_dim=GUIDANCE_WIDTH),
    )
    return (family, *(_taking(family, inputs) for inputs in (INPAINTING, INSTRUCTION)), guided)


def _taking(family: LatentDiffusion, inputs: UNetInputs) -> LatentDiffusion:
    channels = family.latents.channels + inputs.channels(family.latents)
    return replace(
        family,
        id=f"{family.id}-{inputs.suffix}",
        parts=_with_unet(family, in_channels=channels),
        unet_inputs=inputs,
    )


def _with_unet(family: LatentDiffusion, **config: int) -> tuple[Part, ...]:
    """The parts of a family, with changes of the UNet's configuration."""
    return tuple(
        replace(part, config={**part.config, **config}) if isinstance(part, UNetPart) else part
        for part in family.parts
    )
