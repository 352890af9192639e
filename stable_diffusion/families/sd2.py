"""Stable Diffusion 2.x. Source: Stability AI's `v2-inference.yaml` and `v2-inference-v.yaml`."""

from stable_diffusion.families.latent_diffusion import (
    UNET,
    VAE,
    LatentDiffusion,
    with_further_inputs,
)
from stable_diffusion.families.parts.autoencoder import Autoencoder
from stable_diffusion.families.parts.clip import CLIP_TOKENS, OpenClipTextEncoder
from stable_diffusion.families.parts.unet import UNetPart

SD2 = LatentDiffusion(
    id="sd2",
    parts=(
        OpenClipTextEncoder(
            {
                **CLIP_TOKENS,
                "hidden_size": 1024,
                "intermediate_size": 4096,
                # it stops after the penultimate layer: 23 of OpenCLIP ViT-H's 24
                "num_hidden_layers": 23,
                "num_attention_heads": 16,
                "hidden_act": "gelu",
                "pad_token_id": 0,
            }
        ),
        UNetPart(
            {
                **UNET,
                "cross_attention_dim": 1024,
                # diffusers' name for the number of heads: 64 channels a head at every level
                "attention_head_dim": (5, 10, 20, 20),
                "use_linear_projection": True,
            }
        ),
        Autoencoder(VAE),
    ),
    native_size=512,
    v_native_size=768,
    configuration="v2",
)

FAMILIES = with_further_inputs(SD2)
