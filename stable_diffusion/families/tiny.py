"""The shipped models, small enough to train on two cores in an afternoon; see `training/`."""

from dataclasses import replace

from stable_diffusion.families.latent_diffusion import (
    LATENTS,
    UNET,
    VAE,
    LatentDiffusion,
    with_further_inputs,
)
from stable_diffusion.families.parts.autoencoder import Autoencoder
from stable_diffusion.families.parts.clip import CLIP_TOKENS, ClipTextEncoder, OpenClipTextEncoder
from stable_diffusion.families.parts.penultimate_clip import PenultimateClip, ProjectedOpenClip
from stable_diffusion.families.parts.unet import UNetPart
from stable_diffusion.families.sdxl import SDXL

_UNET = {
    **UNET,
    "block_out_channels": (32, 64, 96, 112),
    "layers_per_block": 1,
    "down_block_types": ("DownBlock2D",) + ("CrossAttnDownBlock2D",) * 3,
    "up_block_types": ("CrossAttnUpBlock2D",) * 3 + ("UpBlock2D",),
    "attention_head_dim": 4,
    "norm_num_groups": 8,
}
_VAE = {
    **VAE,
    "block_out_channels": (16, 32, 48, 48),
    "layers_per_block": 1,
    # one group: per-group statistics of two channels would wipe out flat colours
    "norm_num_groups": 1,
    "mid_block_add_attention": False,
}
_LATENTS = replace(LATENTS, small_decoder="taesd-tiny")

# The networks of Stable Diffusion 1 in small.
TINY = LatentDiffusion(
    id="tiny",
    parts=(
        ClipTextEncoder(
            {
                **CLIP_TOKENS,
                "hidden_size": 48,
                "intermediate_size": 192,
                "num_hidden_layers": 3,
                "num_attention_heads": 4,
                "hidden_act": "quick_gelu",
                "pad_token_id": 49407,
            }
        ),
        UNetPart({**_UNET, "cross_attention_dim": 48}),
        Autoencoder(_VAE),
    ),
    latents=_LATENTS,
    native_size=256,
    configuration="v1",
)

# The networks of Stable Diffusion 2 in small, with v-prediction. Its text encoder stops after 3
# of 4 layers.
TINY_V2 = LatentDiffusion(
    id="tiny-v2",
    parts=(
        OpenClipTextEncoder(
            {
                **CLIP_TOKENS,
                "hidden_size": 40,
                "intermediate_size": 160,
                "num_hidden_layers": 3,
                "num_attention_heads": 4,
                "hidden_act": "gelu",
                "pad_token_id": 0,
            }
        ),
        UNetPart({**_UNET, "cross_attention_dim": 40, "use_linear_projection": True}),
        Autoencoder(_VAE),
    ),
    latents=_LATENTS,
    native_size=256,
    prediction="v",
    configuration="v2",
)

# Stable Diffusion XL in small: both text encoders, the pooled text and the sizes. The layers of
# tiny's UNet, tiny's latents, and the empty prompt as tiny encodes it.
_POOLED, _SIZE = 36, 32
TINY_XL = SDXL(
    id="tiny-xl",
    parts=(
        PenultimateClip(
            {
                **CLIP_TOKENS,
                "hidden_size": 10,
                "intermediate_size": 64,
                "num_hidden_layers": 4,
                "num_attention_heads": 2,
                "hidden_act": "quick_gelu",
                "pad_token_id": 49407,
            }
        ),
        ProjectedOpenClip(
            {
                **CLIP_TOKENS,
                "hidden_size": _POOLED,
                "intermediate_size": 192,
                "num_hidden_layers": 5,
                "num_attention_heads": 4,
                "hidden_act": "gelu",
                "projection_dim": _POOLED,
                "pad_token_id": 0,
            }
        ),
        UNetPart(
            {
                **_UNET,
                "cross_attention_dim": 10 + 36,
                "use_linear_projection": True,
                "addition_embed_type": "text_time",
                "addition_time_embed_dim": _SIZE,
                "projection_class_embeddings_input_dim": _POOLED + 6 * _SIZE,
            }
        ),
        Autoencoder(_VAE),
    ),
    latents=_LATENTS,
    native_size=256,
    zero_negative=False,
)

_OF_TINY = with_further_inputs(TINY)
TINY_INPAINT = _OF_TINY[1]
FAMILIES = (*_OF_TINY, *with_further_inputs(TINY_V2), *with_further_inputs(TINY_XL))
