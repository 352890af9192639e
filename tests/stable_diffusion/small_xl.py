"""Stable Diffusion XL and its refiner in small, and diffusers' own pipelines around them."""

from pathlib import Path
from typing import Any

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import (
    StableDiffusionXLPipeline,
)
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl_img2img import (
    StableDiffusionXLImg2ImgPipeline,
)
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl_inpaint import (
    StableDiffusionXLInpaintPipeline,
)
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from stable_diffusion.families.family import Family, Prediction
from stable_diffusion.families.latent_diffusion import VAE, with_further_inputs
from stable_diffusion.families.parts.autoencoder import Autoencoder
from stable_diffusion.families.parts.clip import CLIP_TOKENS
from stable_diffusion.families.parts.penultimate_clip import PenultimateClip, ProjectedOpenClip
from stable_diffusion.families.parts.unet import UNetPart
from stable_diffusion.families.sdxl import LATENTS, SDXL, SDXL_UNET, Refiner
from stable_diffusion.networks import Networks
from tests.stable_diffusion.conftest import transformers_tokenizer
from tests.stable_diffusion.layouts import random_networks

_L, _G, _TIME = 32, 24, 8
_SECOND: dict[str, Any] = {
    **CLIP_TOKENS,
    "hidden_size": _G,
    "intermediate_size": 2 * _G,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "hidden_act": "gelu",
    "projection_dim": _G,
    "pad_token_id": 0,
}
_FIRST = {**_SECOND, "hidden_size": _L, "hidden_act": "quick_gelu", "pad_token_id": 49407}
_UNET: dict[str, Any] = {
    **SDXL_UNET,
    "block_out_channels": (16, 32, 48),
    "layers_per_block": 1,
    "transformer_layers_per_block": (1, 2, 3),
    "attention_head_dim": (1, 2, 3),
    "cross_attention_dim": _L + _G,
    "norm_num_groups": 8,
    "addition_time_embed_dim": _TIME,
    "projection_class_embeddings_input_dim": _G + 6 * _TIME,
}
_VAE = {
    **VAE,
    "block_out_channels": (8, 8, 16, 16),
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "scaling_factor": LATENTS.scale,
}
SMALL = SDXL(
    id="small-xl",
    parts=(
        PenultimateClip(_FIRST),
        ProjectedOpenClip(_SECOND),
        UNetPart(_UNET),
        Autoencoder(_VAE),
    ),
    native_size=64,
    large=True,
)
SMALL_REFINER = Refiner(
    id="small-xl-refiner",
    parts=(
        ProjectedOpenClip(_SECOND, original_prefix="conditioner.embedders.0.model."),
        UNetPart(
            {
                **_UNET,
                "transformer_layers_per_block": 2,
                "cross_attention_dim": _G,
                "projection_class_embeddings_input_dim": _G + 5 * _TIME,
            }
        ),
        Autoencoder(_VAE),
    ),
    native_size=64,
    large=True,
)
FAMILIES = (*with_further_inputs(SMALL), SMALL_REFINER)


def networks_of(family: Family) -> Networks:
    """Random ones, of which the autoencoder encodes without chance, as diffusers draws from it."""
    networks = random_networks(family)
    quant = networks.vae.quant_conv
    assert quant is not None
    quant.weight[4:] = 0
    quant.bias[4:] = -30.0  # type: ignore[index]
    return networks


def components(
    networks: Networks, family: Family, prediction: Prediction, *, zero_snr: bool = False
) -> dict[str, Any]:
    """The parts of diffusers' pipelines."""
    first = second = None
    if "text" in networks.parts:
        first = _loaded(CLIPTextModel, family, networks, "text", "")
    second = _loaded(CLIPTextModelWithProjection, family, networks, "text_2", "text_model.")
    with torch.device("meta"):
        unet = UNet2DConditionModel(**family.part("unet").config)
    unet.load_state_dict(networks.unet.state_dict(), assign=True)
    return {
        "vae": networks.vae,
        "text_encoder": first,
        "text_encoder_2": second,
        "tokenizer": transformers_tokenizer() if first else None,
        "tokenizer_2": transformers_tokenizer("!"),
        "unet": unet.eval(),
        "scheduler": DDIMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
            prediction_type="v_prediction" if prediction == "v" else "epsilon",
            rescale_betas_zero_snr=zero_snr,
        ),
    }


def _loaded(kind: Any, family: Family, networks: Networks, part: str, wrapper: str) -> nn.Module:
    made: nn.Module = kind(CLIPTextConfig(**family.part(part).config))
    state = networks.parts[part].state_dict()
    made.load_state_dict(
        {name if "projection" in name else wrapper + name: w for name, w in state.items()}
    )
    return made.eval()


def text_to_image(parts: dict[str, Any]) -> Any:
    """diffusers' pipeline of text to image."""
    return _quiet(StableDiffusionXLPipeline(**parts, add_watermarker=False))


def image_to_image(parts: dict[str, Any], *, scored: bool = False) -> Any:
    """diffusers' pipeline of image to image; `scored`: with the refiner's score."""
    return _quiet(
        StableDiffusionXLImg2ImgPipeline(
            **parts, requires_aesthetics_score=scored, add_watermarker=False
        )
    )


def inpainting(parts: dict[str, Any]) -> Any:
    """diffusers' pipeline of inpainting."""
    return _quiet(StableDiffusionXLInpaintPipeline(**parts, add_watermarker=False))


def _quiet(pipeline: Any) -> Any:
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def write_folder(networks: Networks, family: Family, path: Path, prediction: Prediction) -> Path:
    """Written by diffusers itself."""
    text_to_image(components(networks, family, prediction)).save_pretrained(path)
    return path
