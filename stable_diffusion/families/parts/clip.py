"""CLIP text encoders, in OpenAI's and in OpenCLIP's layout.

Sources of the names: the state dicts of CompVis' `LatentDiffusion` (`cond_stage_model`) and of
OpenCLIP; of the alternatives, AUTOMATIC1111's `checkpoint_dict_replacements`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

from stable_diffusion.families.parts.part import StoredTensor, TextEncoderPart, replace_prefix

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import CLIPTextModel

CLIP_TOKENS = {
    "vocab_size": 49408,
    "max_position_embeddings": 77,
    "bos_token_id": 49406,
    "eos_token_id": 49407,
}
_WRAPPER = "text_model."
_OPEN_CLIP = {
    "embeddings.token_embedding.": "token_embedding.",
    "embeddings.position_embedding.weight": "positional_embedding",
    "final_layer_norm.": "ln_final.",
}
_OPEN_CLIP_LAYER = {
    "layer_norm1.": "ln_1.",
    "layer_norm2.": "ln_2.",
    "mlp.fc1.": "mlp.c_fc.",
    "mlp.fc2.": "mlp.c_proj.",
    "self_attn.out_proj.": "attn.out_proj.",
}


@dataclass(frozen=True)
class ClipTextEncoder(TextEncoderPart):
    """A text encoder in OpenAI's layout, as Stable Diffusion 1.x has it."""

    name: str = "text"
    folder: str = "text_encoder"
    original_prefix: str = "cond_stage_model.transformer.text_model."
    lora_prefixes: tuple[str, ...] = (
        "lora_te_",
        "lora_te1_",
        "text_encoder_",
        "text_encoders_clip_l_transformer_",
        "clip_l_transformer_",
        "lycoris_",
        "",
    )
    file_stems: ClassVar[tuple[str, ...]] = ("model", "pytorch_model")
    folder_prefix: ClassVar[str] = _WRAPPER
    channels_last: ClassVar[bool] = False

    def build(self) -> "nn.Module":
        from transformers import CLIPTextConfig, CLIPTextModel  # noqa: PLC0415 - imports torch

        return CLIPTextModel(CLIPTextConfig(**self.config))

    @property
    def largest_clip_skip(self) -> int:
        return int(self.config["num_hidden_layers"])

    def states(self, network: "nn.Module", token_ids: "Tensor", clip_skip: int = 1) -> "Tensor":
        """A layer's states after the final norm, (n, 77, width)."""
        from stable_diffusion.networks import text_states  # noqa: PLC0415 - as above

        return text_states(cast("CLIPTextModel", network), token_ids, clip_skip)

    def original(self, name: str) -> StoredTensor:
        return StoredTensor(self.original_prefix + name)

    def alternative_keys(self, key: str) -> Iterator[str]:
        for prefix in (self.original_prefix, f"{self.folder}.{_WRAPPER}"):
            if prefix.endswith(_WRAPPER) and key.startswith(prefix):
                yield prefix.removesuffix(_WRAPPER) + key.removeprefix(prefix)
        if key.startswith("cond_stage_model."):
            yield "conditioner.embedders.0." + key.removeprefix("cond_stage_model.")

    def lora_layers(self, layer: str) -> Iterator[str]:
        """With and without the wrapper `text_model` that transformers had around the encoder.

        Early files of diffusers name a text encoder's attention as a UNet's: `to_q`, `to_out`.
        """
        early = layer.replace("out_proj", "to_out")
        early = re.sub(r"self_attn\.([qkv])_proj\Z", r"self_attn.to_\1", early)
        for name in dict.fromkeys((layer, early)):
            yield from super().lora_layers(name)
            yield from super().lora_layers(_WRAPPER + name)


@dataclass(frozen=True)
class OpenClipTextEncoder(ClipTextEncoder):
    """A text encoder in OpenCLIP's layout that stops after the penultimate layer, as SD 2.x's."""

    original_prefix: str = "cond_stage_model.model."

    @property
    def largest_clip_skip(self) -> int:
        """It has no last layer to skip; AUTOMATIC1111 ignores the number here as well."""
        return 1

    @property
    def _blocks(self) -> str:
        return f"{self.original_prefix}transformer.resblocks."

    def original(self, name: str) -> StoredTensor:
        layer = re.match(r"encoder\.layers\.(\d+)\.(.*)", name)
        if not layer:
            return StoredTensor(self.original_prefix + replace_prefix(name, _OPEN_CLIP))
        block = f"{self._blocks}{layer[1]}."
        stacked = re.match(r"self_attn\.([qkv])_proj\.(weight|bias)", layer[2])
        if stacked:
            return StoredTensor(f"{block}attn.in_proj_{stacked[2]}", "qkv".index(stacked[1]))
        return StoredTensor(block + replace_prefix(layer[2], _OPEN_CLIP_LAYER))

    def additional_tensors(self, tensors: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
        """The last layer, from which other programs count back to the penultimate one.

        Its zeros add nothing to the residual stream.
        """
        layers = self.config["num_hidden_layers"]
        last = f"{self._blocks}{layers - 1}."
        return {
            key.replace(last, f"{self._blocks}{layers}."): tensor.new_zeros(tensor.shape)
            for key, tensor in tensors.items()
            if key.startswith(last)
        }
