"""How tensors are called in a checkpoint, and how in our networks.

Every name is derived from the network's own (diffusers, transformers) name, so one rule serves
reading and writing, and any number of layers. Source: the state dict of CompVis' `LatentDiffusion`
(`model.diffusion_model`, `first_stage_model`, `cond_stage_model`).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from stable_diffusion.variants import Variant
from stable_diffusion.weights.checkpoint import Style

UNET_PREFIX = "model.diffusion_model."
VAE_PREFIX = "first_stage_model."
CLIP_PREFIX = "cond_stage_model.transformer.text_model."
OPEN_CLIP_PREFIX = "cond_stage_model.model."
RESBLOCKS = f"{OPEN_CLIP_PREFIX}transformer.resblocks."

_UNET_ENDS = {
    "time_embedding.linear_1.": "time_embed.0.",
    "time_embedding.linear_2.": "time_embed.2.",
    "conv_in.": "input_blocks.0.0.",
    "conv_norm_out.": "out.0.",
    "conv_out.": "out.2.",
    "mid_block.resnets.0.": "middle_block.0.",
    "mid_block.attentions.0.": "middle_block.1.",
    "mid_block.resnets.1.": "middle_block.2.",
}
_UNET_RESNET = {
    "norm1.": "in_layers.0.",
    "conv1.": "in_layers.2.",
    "time_emb_proj.": "emb_layers.1.",
    "norm2.": "out_layers.0.",
    "conv2.": "out_layers.3.",
    "conv_shortcut.": "skip_connection.",
}
_VAE_ATTENTION = {
    "group_norm.": "norm.",
    "to_q.": "q.",
    "to_k.": "k.",
    "to_v.": "v.",
    "to_out.0.": "proj_out.",
}


def _swap_start(name: str, table: dict[str, str]) -> str:
    for start, replacement in table.items():
        if name.startswith(start):
            return replacement + name.removeprefix(start)
    return name


def unet_name(name: str, layers_per_block: int, attention_up: tuple[bool, ...]) -> str:
    """Original name of a `UNet2DConditionModel` parameter.

    Args:
        name: such as `down_blocks.1.resnets.0.conv1.weight`.
        layers_per_block: residual layers of a level on the way down.
        attention_up: for each level on the way up, whether it holds attention: an upsampler
            stands behind it, at the next index.
    """
    name = _swap_start(name, _UNET_ENDS)
    part = re.match(r"(down|up)_blocks\.(\d+)\.(\w+)\.(\d+)\.(.*)", name)
    if part:
        way, level, kind, layer = part[1], int(part[2]), part[3], int(part[4])
        per_level = layers_per_block + 1
        if way == "down":
            block = 1 + level * per_level + layer
            place = {
                "resnets": f"input_blocks.{block}.0.",
                "attentions": f"input_blocks.{block}.1.",
                "downsamplers": f"input_blocks.{(level + 1) * per_level}.0.",
            }[kind]
        else:
            block = level * per_level + layer
            last = level * per_level + layers_per_block
            place = {
                "resnets": f"output_blocks.{block}.0.",
                "attentions": f"output_blocks.{block}.1.",
                "upsamplers": f"output_blocks.{last}.{1 + attention_up[level]}.",
            }[kind]
        name = place + (part[5].replace("conv.", "op.", 1) if kind == "downsamplers" else part[5])
    head, rest = re.match(
        r"((?:(?:in|out)put_blocks|middle_block)\.\d+\.(?:\d+\.)?)?(.*)", name
    ).groups()  # type: ignore[union-attr]
    return UNET_PREFIX + (head or "") + _swap_start(rest, _UNET_RESNET)


def vae_name(name: str, levels: int) -> str:
    """Original name of an `AutoencoderKL` parameter, for an autoencoder of `levels` levels."""
    name = name.replace("conv_norm_out.", "norm_out.").replace("conv_shortcut.", "nin_shortcut.")
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
    attention = re.match(r"(.*)mid_block\.attentions\.0\.(.*)", name)
    if attention:
        name = f"{attention[1]}mid.attn_1.{_swap_start(attention[2], _VAE_ATTENTION)}"
    name = re.sub(r"down_blocks\.(\d+)\.", r"down.\1.", name)
    # the original counts its decoder's levels from the finest
    name = re.sub(r"up_blocks\.(\d+)\.", lambda m: f"up.{levels - 1 - int(m[1])}.", name)
    name = name.replace("resnets.", "block.")
    name = re.sub(r"(down|up)samplers\.0\.", r"\1sample.", name)
    return VAE_PREFIX + name


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


class Source(NamedTuple):
    """Where a parameter lies in a checkpoint.

    A tensor's name and, where OpenCLIP stacks query, key and value in one, which third of it.
    """

    name: str
    third: int | None = None


def clip_name(name: str) -> Source:
    """Place of a `CLIPTextModel` parameter in an SD 1.x checkpoint."""
    return Source(CLIP_PREFIX + name)


def open_clip_name(name: str) -> Source:
    """Place of a `CLIPTextModel` parameter in an SD 2.x checkpoint."""
    layer = re.match(r"encoder\.layers\.(\d+)\.(.*)", name)
    if not layer:
        return Source(OPEN_CLIP_PREFIX + _swap_start(name, _OPEN_CLIP))
    block = f"{RESBLOCKS}{layer[1]}."
    stacked = re.match(r"self_attn\.([qkv])_proj\.(weight|bias)", layer[2])
    if stacked:
        return Source(f"{block}attn.in_proj_{stacked[2]}", "qkv".index(stacked[1]))
    return Source(block + _swap_start(layer[2], _OPEN_CLIP_LAYER))


@dataclass(frozen=True)
class Layout:
    """The names of one variant's checkpoints, in the original style or in diffusers'."""

    variant: Variant
    style: Style = "original"

    def text(self, name: str) -> Source:
        if self.style == "diffusers":
            return Source(f"text_encoder.text_model.{name}")
        clip = self.variant.text_layout == "clip"
        return clip_name(name) if clip else open_clip_name(name)

    def unet(self, name: str) -> Source:
        if self.style == "diffusers":
            return Source(f"unet.{name}")
        attention = tuple(kind.startswith("Cross") for kind in self.variant.unet["up_block_types"])
        return Source(unet_name(name, self.variant.unet["layers_per_block"], attention))

    def vae(self, name: str) -> Source:
        if self.style == "diffusers":
            return Source(f"vae.{name}")
        return Source(vae_name(name, len(self.variant.vae["block_out_channels"])))


# What the same tensor is called by others, the usual name first. Sources: AUTOMATIC1111's
# `checkpoint_dict_replacements`; diffusers' `_convert_deprecated_attention_blocks`.
_OTHER_STARTS = (
    (CLIP_PREFIX, "cond_stage_model.transformer."),
    ("cond_stage_model.", "conditioner.embedders.0."),
    ("text_encoder.text_model.", "text_encoder."),
)
_OLD_VAE_ATTENTION = (
    (".to_q.", ".query."),
    (".to_k.", ".key."),
    (".to_v.", ".value."),
    (".to_out.0.", ".proj_attn."),
)


def spellings(name: str) -> Iterator[str]:
    """The names under which a tensor may lie in a file, the one to be taken first.

    The averaged weights of a training checkpoint (`model_ema.`) come last: like the reference
    scripts, AUTOMATIC1111 and diffusers we take the others where both are there.
    """
    yield name
    for start, other in _OTHER_STARTS:
        if name.startswith(start):
            yield other + name.removeprefix(start)
    if name.startswith("vae.") and ".attentions." in name:
        for new, old in _OLD_VAE_ATTENTION:
            if new in name:
                yield name.replace(new, old)
    if name.startswith(UNET_PREFIX):
        yield "model_ema." + name.removeprefix("model.").replace(".", "")
