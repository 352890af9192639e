"""Models of random weights, written in every layout that users have."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from safetensors.torch import save_file
from torch import Tensor

from stable_diffusion.families.family import Family, Prediction
from stable_diffusion.networks import Networks, build_networks, parts_of
from stable_diffusion.shared_weights import clone_sharing_weights
from stable_diffusion.weights.saving import original_tensors
from stable_diffusion.weights.state_dict_loading import empty_networks
from tests.stable_diffusion.conftest import transformers_tokenizer

_PADS = {0: "!", 49407: "<|endoftext|>"}
Write = Callable[[Networks, Family, Path, torch.dtype], Path]


@cache
def empty(family: Family) -> Networks:
    """Networks without weights, made once: a full-size one takes a second."""
    return empty_networks(family)


def random_networks(family: Family, seed: int = 0) -> Networks:
    """Fresh networks, in which nothing is zero that a mistake could hide behind."""
    torch.manual_seed(seed)
    networks = build_networks(family)
    for _, module in parts_of(networks):
        module.eval().requires_grad_(False)
        for parameter in module.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) * 0.02)
    return networks


def with_unet_in(networks: Networks, dtype: torch.dtype) -> Networks:
    """The same with the UNet's weights in another type."""
    weights = {name: weight.detach().to(dtype) for name, weight in networks.unet.named_parameters()}
    return networks.with_parts(unet=clone_sharing_weights(networks.unet, weights))


def averaged(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """What a training run keeps beside its weights: averages, under names without points."""
    return {
        "model_ema." + name.removeprefix("model.").replace(".", ""): tensor * 0.5
        for name, tensor in tensors.items()
        if name.startswith("model.diffusion_model.")
    } | {"model_ema.decay": torch.tensor(0.9999), "model_ema.num_updates": torch.tensor(7)}


def safetensors(networks: Networks, family: Family, folder: Path, dtype: torch.dtype) -> Path:
    path = folder / "model.safetensors"
    save_file(original_tensors(networks, family, dtype), path)
    return path


def safetensors_with_ema(
    networks: Networks, family: Family, folder: Path, dtype: torch.dtype
) -> Path:
    path = folder / "model.safetensors"
    tensors = original_tensors(networks, family, dtype)
    save_file(tensors | averaged(tensors), path)
    return path


def ckpt(networks: Networks, family: Family, folder: Path, dtype: torch.dtype) -> Path:
    """As a training run saves: wrapped, with averages, and with numbers beside the tensors."""
    path = folder / "model.ckpt"
    tensors = original_tensors(networks, family, dtype)
    content = {"state_dict": tensors | averaged(tensors), "global_step": 470000, "epoch": 3}
    torch.save(content, path)
    return path


def bare_ckpt(networks: Networks, family: Family, folder: Path, dtype: torch.dtype) -> Path:
    path = folder / "model.ckpt"
    torch.save(original_tensors(networks, family, dtype), path)
    return path


def old_ckpt(networks: Networks, family: Family, folder: Path, dtype: torch.dtype) -> Path:
    """As torch wrote before it took to zip files."""
    path = folder / "model.ckpt"
    content = {"state_dict": original_tensors(networks, family, dtype)}
    torch.save(content, path, _use_new_zipfile_serialization=False)
    return path


def diffusers(networks: Networks, family: Family, folder: Path, dtype: torch.dtype) -> Path:
    return _diffusers(networks, family, folder, dtype)


def diffusers_in_shards(
    networks: Networks, family: Family, folder: Path, dtype: torch.dtype
) -> Path:
    size = sum(p.nbytes for p in networks.unet.parameters()) // 3
    return _diffusers(networks, family, folder, dtype, max_shard_size=size)


def diffusers_fp16(networks: Networks, family: Family, folder: Path, dtype: torch.dtype) -> Path:
    return _diffusers(networks, family, folder, dtype, variant="fp16")


def diffusers_bin(networks: Networks, family: Family, folder: Path, dtype: torch.dtype) -> Path:
    return _diffusers(networks, family, folder, dtype, safe_serialization=False)


LAYOUTS: tuple[Write, ...] = (
    safetensors,
    safetensors_with_ema,
    ckpt,
    bare_ckpt,
    old_ckpt,
    diffusers,
    diffusers_in_shards,
    diffusers_fp16,
    diffusers_bin,
)


def pipeline_of(
    networks: Networks, family: Family, prediction: Prediction = "epsilon"
) -> StableDiffusionPipeline:
    """diffusers' own pipeline around networks, with the scheduler of `v1-inference.yaml`."""
    return StableDiffusionPipeline(
        vae=networks.full_vae,
        text_encoder=networks.text,
        tokenizer=transformers_tokenizer(_PADS[family.pad_token]),
        unet=_theirs(networks.unet, family),
        scheduler=DDIMScheduler(  # type: ignore[arg-type]
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
            prediction_type="v_prediction" if prediction == "v" else "epsilon",
        ),
        safety_checker=None,  # type: ignore[arg-type]
        feature_extractor=None,  # type: ignore[arg-type]
        requires_safety_checker=False,
    )


def _theirs(unet: UNet2DConditionModel, family: Family) -> UNet2DConditionModel:
    """A UNet's weights in diffusers' own layers, of which a folder names the class."""
    with torch.device("meta"):
        made = UNet2DConditionModel(**family.part("unet").config)
    made.load_state_dict(unet.state_dict(), assign=True)
    return made.eval()


def _diffusers(
    networks: Networks,
    family: Family,
    folder: Path,
    dtype: torch.dtype,
    *,
    variant: str | None = None,
    prediction: Prediction = "epsilon",
    **options: Any,
) -> Path:
    path = folder / "model"
    pipeline = pipeline_of(networks, family, prediction)
    pipeline.to(dtype=dtype)
    pipeline.save_pretrained(path, variant=variant, **options)
    return path
