"""diffusers' KL autoencoder, and the names of its tensors in CompVis' `LatentDiffusion`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from stable_diffusion.families.parts.part import Part, StoredTensor, replace_prefix

if TYPE_CHECKING:
    from torch import nn

_ATTENTION = {
    "group_norm.": "norm.",
    "to_q.": "q.",
    "to_k.": "k.",
    "to_v.": "v.",
    "to_out.0.": "proj_out.",
}
# Source: diffusers' `_convert_deprecated_attention_blocks`.
_DEPRECATED_ATTENTION = (
    (".to_q.", ".query."),
    (".to_k.", ".key."),
    (".to_v.", ".value."),
    (".to_out.0.", ".proj_attn."),
)


@dataclass(frozen=True)
class Autoencoder(Part):
    """An `AutoencoderKL`."""

    title: ClassVar[str] = "autoencoder"

    name: str = "vae"
    folder: str = "vae"
    original_prefix: str = "first_stage_model."

    def build(self) -> "nn.Module":
        from stable_diffusion.autoencoder.strips import (  # noqa: PLC0415 - imports torch
            build_autoencoder,
        )

        return build_autoencoder(self.config)

    def original(self, name: str) -> StoredTensor:
        levels = len(self.config["block_out_channels"])
        return StoredTensor(self.original_prefix + original_name(name, levels))

    def alternative_keys(self, key: str) -> Iterator[str]:
        if key.startswith(f"{self.folder}.") and ".attentions." in key:
            for new, old in _DEPRECATED_ATTENTION:
                if new in key:
                    yield key.replace(new, old)


def original_name(name: str, levels: int) -> str:
    """Original name of a parameter of an autoencoder of `levels` levels, without its prefix."""
    name = name.replace("conv_norm_out.", "norm_out.").replace("conv_shortcut.", "nin_shortcut.")
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
    attention = re.match(r"(.*)mid_block\.attentions\.0\.(.*)", name)
    if attention:
        name = f"{attention[1]}mid.attn_1.{replace_prefix(attention[2], _ATTENTION)}"
    name = re.sub(r"down_blocks\.(\d+)\.", r"down.\1.", name)
    # the original counts its decoder's levels from the finest
    name = re.sub(r"up_blocks\.(\d+)\.", lambda m: f"up.{levels - 1 - int(m[1])}.", name)
    name = name.replace("resnets.", "block.")
    return re.sub(r"(down|up)samplers\.0\.", r"\1sample.", name)
