"""The kinds of Stable Diffusion network this engine runs, and the sizes of their parts.

A checkpoint in the original layout holds tensors but no configuration; what its tensors cannot
tell (attention heads, normalisation groups) stands here. Sources: CompVis `v1-inference.yaml`,
Stability AI `v2-inference.yaml` and `v2-inference-v.yaml`; the tiny ones are this repository's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Prediction = Literal["epsilon", "v"]

# Scale between the autoencoder's latents and the ones the UNet sees (LDM, section D.1).
LATENT_SCALE = 0.18215
LATENT_CHANNELS = 4
DOWNSAMPLING = 8
_SMALL = 128
"""Channels of the first level, at which oneDNN's kernels have something to do."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One family of checkpoints.

    Attributes:
        name: how the family is called in listings.
        text, unet, vae: keyword arguments of transformers' `CLIPTextConfig` and of diffusers'
            `UNet2DConditionModel` and `AutoencoderKL`.
        prediction: what the network estimates unless the checkpoint's configuration says v.
        default_size: side in pixels the model was trained on.
        text_layout: key layout of the text encoder in an original checkpoint.
    """

    name: str
    text: Mapping[str, Any]
    unet: Mapping[str, Any]
    vae: Mapping[str, Any]
    prediction: Prediction = "epsilon"
    default_size: int = 512
    text_layout: Literal["clip", "open_clip"] = "clip"

    @property
    def small(self) -> bool:
        """Whether a CPU takes longer to call a layer of the UNet than to compute most of them."""
        return self.unet["block_out_channels"][0] < _SMALL

    @property
    def context_width(self) -> int:
        """Width of the text encoding, by which a checkpoint's family is recognised."""
        return int(self.unet["cross_attention_dim"])


_CLIP_TOKENS = {
    "vocab_size": 49408,
    "max_position_embeddings": 77,
    "bos_token_id": 49406,
    "eos_token_id": 49407,
}
_UNET = {
    "in_channels": LATENT_CHANNELS,
    "out_channels": LATENT_CHANNELS,
    "block_out_channels": (320, 640, 1280, 1280),
    "layers_per_block": 2,
    "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
}
_VAE = {
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "latent_channels": LATENT_CHANNELS,
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "scaling_factor": LATENT_SCALE,
}

STABLE_DIFFUSION_1 = Variant(
    name="sd1",
    text={
        **_CLIP_TOKENS,
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "hidden_act": "quick_gelu",
        "pad_token_id": 49407,
    },
    unet={**_UNET, "cross_attention_dim": 768, "attention_head_dim": 8},
    vae=_VAE,
)

# The text encoder stops after the penultimate layer: 23 of OpenCLIP ViT-H's 24.
STABLE_DIFFUSION_2 = Variant(
    name="sd2",
    text={
        **_CLIP_TOKENS,
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 23,
        "num_attention_heads": 16,
        "hidden_act": "gelu",
        "pad_token_id": 0,
    },
    unet={
        **_UNET,
        "cross_attention_dim": 1024,
        # diffusers' name for the number of heads: 64 channels a head at every level
        "attention_head_dim": (5, 10, 20, 20),
        "use_linear_projection": True,
    },
    vae=_VAE,
    text_layout="open_clip",
)

# The shipped model: SD 1's parts, small enough to train on two cores in an afternoon.
TINY = Variant(
    name="tiny",
    text={
        **_CLIP_TOKENS,
        "hidden_size": 48,
        "intermediate_size": 192,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "hidden_act": "quick_gelu",
        "pad_token_id": 49407,
    },
    unet={
        **_UNET,
        "block_out_channels": (32, 64, 96, 112),
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D",) + ("CrossAttnDownBlock2D",) * 3,
        "up_block_types": ("CrossAttnUpBlock2D",) * 3 + ("UpBlock2D",),
        "cross_attention_dim": 48,
        "attention_head_dim": 4,
        "norm_num_groups": 8,
    },
    vae={
        **_VAE,
        "block_out_channels": (16, 32, 48, 48),
        "layers_per_block": 1,
        # one group: per-group statistics of two channels would wipe out flat colours
        "norm_num_groups": 1,
        "mid_block_add_attention": False,
    },
    default_size=256,
)

# The other shipped model: SD 2's parts in small, v-prediction included. Its text encoder stops
# after 3 of 4 layers.
TINY_V2 = Variant(
    name="tiny-v2",
    text={
        **_CLIP_TOKENS,
        "hidden_size": 40,
        "intermediate_size": 160,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "hidden_act": "gelu",
        "pad_token_id": 0,
    },
    unet={**TINY.unet, "cross_attention_dim": 40, "use_linear_projection": True},
    vae=TINY.vae,
    prediction="v",
    default_size=256,
    text_layout="open_clip",
)

VARIANTS = (STABLE_DIFFUSION_1, STABLE_DIFFUSION_2, TINY, TINY_V2)
