"""A full-size checkpoint of random weights, and loading it with diffusers, offline."""

import math
import mmap
from pathlib import Path
from typing import Any

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import Tensor, nn
from transformers import CLIPTokenizer

from stable_diffusion.families.family import Family
from stable_diffusion.families.sd1 import SD1
from stable_diffusion.prompt.grammar import read_prompt
from stable_diffusion.prompt.tokenizer import vocabulary_and_merges
from stable_diffusion.recipe import Recipe
from stable_diffusion.weights.safetensors_writer import SafetensorsWriter
from stable_diffusion.weights.state_dict_loading import empty_networks

_LAST = (
    "conv2.weight", "to_out.0.weight", "net.2.weight", "proj_out.weight", "fc2.weight",
    "out_proj.weight",
)  # fmt: skip
"""The last layers of residual branches, whose outputs add up."""


def random_checkpoint(path: Path, seed: int, family: Family = SD1) -> Path:
    """Write a model in half precision; only one tensor at a time is in memory.

    Its activations have the size of a trained model's: in float16 they neither overflow nor vanish.
    """
    torch.manual_seed(seed)
    networks = empty_networks(family)
    thirds: dict[str, list[Tensor]] = {}
    with SafetensorsWriter(path) as file:
        for part in family.parts:
            for name, weight in networks.parts[part.name].named_parameters():
                key, third, transposed = part.original(name)
                piece = _random(name, weight.shape)
                if third is None:
                    file.add(key, piece.t().contiguous() if transposed else piece)
                    continue
                # OpenCLIP's query, key and value are thirds of one tensor
                pieces = thirds.setdefault(key, [])
                pieces.append(piece)
                if len(pieces) == 3:
                    file.add(key, torch.cat(thirds.pop(key)))
        file.finish({})
    return path


def _random(name: str, shape: torch.Size) -> Tensor:
    """Norms that change nothing, and layers that keep the variance of what they get."""
    if len(shape) == 1:
        return torch.full(shape, float(name.endswith("weight")), dtype=torch.float16)
    if "embedding" in name and len(shape) == 2:
        bound = 0.03
    else:
        bound = math.sqrt(3 / math.prod(shape[1:])) * (0.3 if name.endswith(_LAST) else 1.0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.empty(shape, dtype=torch.float16, device=device).uniform_(-bound, bound).cpu()


def touch(*modules: nn.Module) -> None:
    """Read one value of every page of the weights, because mapped pages load on first access."""
    for module in modules:
        for weight in module.parameters():
            step = mmap.PAGESIZE // weight.element_size()
            pages = max(1, weight.numel() // step)
            weight.detach().as_strided((pages,), (step,)).sum()


def configurations(path: Path) -> Path:
    """Write what `from_single_file` fetches from the hub: a pipeline without its weights."""
    vocabulary, merges = vocabulary_and_merges()
    networks = empty_networks(SD1)
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77)  # pyright: ignore[reportArgumentType]
    with torch.device("meta"):
        unet = UNet2DConditionModel(**SD1.part("unet").config)  # diffusers' own
    missing: Any = None
    scheduler = DDIMScheduler(clip_sample=False, set_alpha_to_one=False, steps_offset=1)
    pipeline = StableDiffusionPipeline(
        networks.vae, networks.text, tokenizer, unet, scheduler,  # type: ignore[arg-type]
        missing, missing, requires_safety_checker=False,
    )  # fmt: skip
    pipeline.save_config(path)
    for part in ("unet", "vae", "scheduler"):
        getattr(pipeline, part).save_config(path / part)
    networks.text.config.save_pretrained(path / "text_encoder")
    tokenizer.save_pretrained(path / "tokenizer")
    return path


def load_with_diffusers(
    path: Path, config: Path, dtype: torch.dtype = torch.float32
) -> StableDiffusionPipeline:
    """A pipeline from `from_single_file`, in our precision."""
    peer = StableDiffusionPipeline.from_single_file(
        str(path),
        config=str(config),
        torch_dtype=dtype,
        local_files_only=True,
        safety_checker=None,
    )
    peer.set_progress_bar_config(disable=True)
    return peer


def generate_with_diffusers(
    peer: StableDiffusionPipeline, recipe: Recipe, output_type: str
) -> None:
    """Generate the recipe's first picture; output_type "latent" skips the decoding."""
    peer(
        read_prompt(recipe.prompt).text,
        height=recipe.height,
        width=recipe.width,
        num_inference_steps=recipe.steps,
        guidance_scale=recipe.guidance_scale,
        output_type=output_type,
    )
