"""diffusers' UNet, and the names of its tensors in CompVis' `LatentDiffusion`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from stable_diffusion.families.parts.part import Part, StoredTensor, replace_prefix

if TYPE_CHECKING:
    from torch import nn

_ENDS = {
    "time_embedding.linear_1.": "time_embed.0.",
    "time_embedding.linear_2.": "time_embed.2.",
    "add_embedding.linear_1.": "label_emb.0.0.",
    "add_embedding.linear_2.": "label_emb.0.2.",
    "conv_in.": "input_blocks.0.0.",
    "conv_norm_out.": "out.0.",
    "conv_out.": "out.2.",
    "mid_block.resnets.0.": "middle_block.0.",
    "mid_block.attentions.0.": "middle_block.1.",
    "mid_block.resnets.1.": "middle_block.2.",
}
_RESNET = {
    "norm1.": "in_layers.0.",
    "conv1.": "in_layers.2.",
    "time_emb_proj.": "emb_layers.1.",
    "norm2.": "out_layers.0.",
    "conv2.": "out_layers.3.",
    "conv_shortcut.": "skip_connection.",
}


@dataclass(frozen=True)
class UNetPart(Part):
    """A `UNet2DConditionModel`."""

    title: ClassVar[str] = "UNet"

    name: str = "unet"
    folder: str = "unet"
    original_prefix: str = "model.diffusion_model."
    lora_prefixes: tuple[str, ...] = (
        "lora_unet_",
        "unet_",
        "lycoris_",
        "diffusion_model_",
        "model_diffusion_model_",
        "",
    )

    def build(self) -> "nn.Module":
        from stable_diffusion.networks import UNet  # noqa: PLC0415 - imports torch

        return UNet(**self.config)

    def original(self, name: str) -> StoredTensor:
        attention_up = tuple(kind.startswith("Cross") for kind in self.config["up_block_types"])
        own = original_name(name, self.config["layers_per_block"], attention_up)
        return StoredTensor(self.original_prefix + own)

    def alternative_keys(self, key: str) -> Iterator[str]:
        """The averaged weights of a training checkpoint, and another name of a tensor.

        Like the reference scripts, AUTOMATIC1111 and diffusers, the others are taken where both are
        there.
        """
        # converters leave diffusers' name as it is, or rename it with the rest of the embedding
        if key.endswith("time_embedding.cond_proj.weight"):
            yield key.replace("time_embedding.", "time_embed.")
        if key.startswith(self.original_prefix):
            yield "model_ema." + key.removeprefix("model.").replace(".", "")

    def lora_layers(self, layer: str) -> Iterator[str]:
        """By diffusers' names and by the original ones."""
        yield from super().lora_layers(layer)
        original = self.original(f"{layer}.weight").key.removeprefix(self.original_prefix)
        yield from super().lora_layers(original.removesuffix(".weight"))


def original_name(name: str, layers_per_block: int, attention_up: tuple[bool, ...]) -> str:
    """Original name of a parameter, without its prefix.

    Args:
        name: such as `down_blocks.1.resnets.0.conv1.weight`.
        layers_per_block: residual layers of a level on the way down.
        attention_up: for each level on the way up, whether it contains attention: an upsampler
            follows it, at the next index.
    """
    name = replace_prefix(name, _ENDS)
    part = re.match(r"(down|up)_blocks\.(\d+)\.(\w+)\.(\d+)\.(.*)", name)
    if part:
        way, level, module, layer = part[1], int(part[2]), part[3], int(part[4])
        per_level = layers_per_block + 1
        if way == "down":
            block = 1 + level * per_level + layer
            start = {
                "resnets": f"input_blocks.{block}.0.",
                "attentions": f"input_blocks.{block}.1.",
                "downsamplers": f"input_blocks.{(level + 1) * per_level}.0.",
            }[module]
        else:
            block = level * per_level + layer
            last = level * per_level + layers_per_block
            start = {
                "resnets": f"output_blocks.{block}.0.",
                "attentions": f"output_blocks.{block}.1.",
                "upsamplers": f"output_blocks.{last}.{1 + attention_up[level]}.",
            }[module]
        rest = part[5].replace("conv.", "op.", 1) if module == "downsamplers" else part[5]
        name = start + rest
    head, rest = re.match(
        r"((?:(?:in|out)put_blocks|middle_block)\.\d+\.(?:\d+\.)?)?(.*)", name
    ).groups()  # type: ignore[union-attr]
    return (head or "") + replace_prefix(rest, _RESNET)
