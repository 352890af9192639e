"""The text encoders of Stable Diffusion XL: CLIP ViT-L, and OpenCLIP with its projection.

Both give the states of their penultimate layer. Neither has a layer to skip: AUTOMATIC1111 ignores
its clip skip here as well.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from stable_diffusion.families.parts.clip import ClipTextEncoder, OpenClipTextEncoder
from stable_diffusion.families.parts.part import Layout, StoredTensor

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import CLIPTextModel

_PROJECTION = "text_projection"


@dataclass(frozen=True)
class PenultimateClip(ClipTextEncoder):
    """A text encoder in OpenAI's layout. Trainers number it, since a second one follows."""

    original_prefix: str = "conditioner.embedders.0.transformer.text_model."
    lora_prefixes: tuple[str, ...] = tuple(
        prefix for prefix in ClipTextEncoder.lora_prefixes if prefix != "lora_te_"
    )

    @property
    def largest_clip_skip(self) -> int:
        return 1

    def states(self, network: "nn.Module", token_ids: "Tensor", clip_skip: int = 1) -> "Tensor":  # noqa: ARG002
        """The penultimate layer's states, (n, 77, width)."""
        from stable_diffusion.projected_text import (  # noqa: PLC0415 - imports torch
            penultimate_states,
        )

        return penultimate_states(cast("CLIPTextModel", network), token_ids)


@dataclass(frozen=True)
class ProjectedOpenClip(OpenClipTextEncoder):
    """A text encoder in OpenCLIP's layout, all of whose layers are there, with its projection."""

    name: str = "text_2"
    folder: str = "text_encoder_2"
    original_prefix: str = "conditioner.embedders.1.model."
    lora_prefixes: tuple[str, ...] = (
        "lora_te2_",
        "text_encoder_2_",
        "text_encoders_clip_g_transformer_",
        "clip_g_transformer_",
    )

    def build(self) -> "nn.Module":
        from transformers import CLIPTextConfig  # noqa: PLC0415 - imports torch

        from stable_diffusion.projected_text import ProjectedTextEncoder  # noqa: PLC0415

        return ProjectedTextEncoder(CLIPTextConfig(**self.config))

    def states(self, network: "nn.Module", token_ids: "Tensor", clip_skip: int = 1) -> "Tensor":
        """The penultimate layer's states, (n, 77, width)."""
        return self.outputs(network, token_ids, clip_skip)[0]

    def outputs(
        self,
        network: "nn.Module",
        token_ids: "Tensor",
        clip_skip: int = 1,  # noqa: ARG002
    ) -> "tuple[Tensor, ...]":
        return network(token_ids)

    def original(self, name: str) -> StoredTensor:
        if name.startswith(_PROJECTION):
            # OpenCLIP multiplies by this matrix from the other side
            return StoredTensor(self.original_prefix + _PROJECTION, transposed=True)
        return super().original(name)

    def stored(self, name: str, layout: Layout) -> StoredTensor:
        if layout == "diffusers" and name.startswith(_PROJECTION):
            return StoredTensor(f"{self.folder}.{name}")
        return super().stored(name, layout)

    def additional_tensors(self, tensors: "Mapping[str, Tensor]") -> "dict[str, Tensor]":  # noqa: ARG002
        return {}
