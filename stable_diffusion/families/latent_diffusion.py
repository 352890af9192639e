"""What Stable Diffusion 1.x, 2.x and the shipped models have in common.

One CLIP text encoder, whose width distinguishes the families; four latent channels; and the block
structure of CompVis' latent diffusion. Source: Rombach et al. 2022, arXiv:2112.10752.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from stable_diffusion.families import foreign, tensor_shapes
from stable_diffusion.families.family import Family, Latents, Shape, TextEncoding

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
            self._resembles(names, shape) and self._channels(names, shape) == self.latents.channels
        )

    def refusal(self, names: Collection[str], shape: Shape) -> str | None:
        """Models of this architecture with further inputs: inpainting, depth, instructions."""
        channels = self._channels(names, shape)
        if not self._resembles(names, shape) or channels == self.latents.channels:
            return None
        return (
            f"it is {foreign.purpose(channels)}: its UNet takes {channels} channels, not "
            f"{self.latents.channels}"
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

    def _resembles(self, names: Collection[str], shape: Shape) -> bool:
        if foreign.marked(names):
            return False
        return tensor_shapes.context_width(names, shape) == self.context_width

    def _channels(self, names: Collection[str], shape: Shape) -> int:
        found = tensor_shapes.input_channels(names, shape)
        return self.latents.channels if found is None else found
