"""Stable Diffusion 1.x. Source: CompVis' `v1-inference.yaml`."""

from stable_diffusion.families.latent_diffusion import (
    UNET,
    VAE,
    LatentDiffusion,
    with_further_inputs,
)
from stable_diffusion.families.parts.autoencoder import Autoencoder
from stable_diffusion.families.parts.clip import CLIP_TOKENS, ClipTextEncoder
from stable_diffusion.families.parts.unet import UNetPart

SD1 = LatentDiffusion(
    id="sd1",
    parts=(
        ClipTextEncoder(
            {
                **CLIP_TOKENS,
                "hidden_size": 768,
                "intermediate_size": 3072,
                "num_hidden_layers": 12,
                "num_attention_heads": 12,
                "hidden_act": "quick_gelu",
                "pad_token_id": 49407,
            }
        ),
        UNetPart({**UNET, "cross_attention_dim": 768, "attention_head_dim": 8}),
        Autoencoder(VAE),
    ),
    native_size=512,
    configuration="v1",
)

FAMILIES = with_further_inputs(SD1)
