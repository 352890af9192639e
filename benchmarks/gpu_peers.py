"""diffusers on a GPU, as in its documentation: float16, eager or compiled."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import (
    StableDiffusionXLPipeline,
)
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from benchmarks.gpu_subject import Subject, subject_of
from benchmarks.harness import BenchmarkOptions, Figure, figure, in_turns, seconds
from stable_diffusion.families import FAMILIES
from stable_diffusion.families.family import Family
from stable_diffusion.generate import generate as our_generate
from stable_diffusion.model import Model
from stable_diffusion.prompt.grammar import read_prompt
from stable_diffusion.prompt.tokenizer import vocabulary_and_merges
from stable_diffusion.recipe import Recipe

XL = "sdxl"


def pipeline(family: Family, device: torch.device) -> Any:
    """A pipeline in a family's sizes with fresh weights: float16 on a GPU."""
    vocabulary, merges = vocabulary_and_merges()
    missing: Any = None

    def tokenizer(padding: str) -> CLIPTokenizer:
        given: Any = {"vocab": vocabulary, "merges": merges}
        return CLIPTokenizer(**given, model_max_length=77, pad_token=padding)

    with torch.device(device):
        texts = [_text_encoder(family, name) for name in family.text_encoders]
        unet = UNet2DConditionModel(**family.part("unet").config)
        vae = AutoencoderKL(**family.part("vae").config)
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
    if len(texts) == 1:
        made: Any = StableDiffusionPipeline(
            vae, texts[0], tokenizer("<|endoftext|>"), unet, scheduler,  # type: ignore[arg-type]
            missing, missing, requires_safety_checker=False,
        )  # fmt: skip
    else:
        made = StableDiffusionXLPipeline(
            vae, texts[0], texts[1], tokenizer("<|endoftext|>"), tokenizer("!"), unet, scheduler,  # type: ignore[arg-type]
        )  # fmt: skip
    made.set_progress_bar_config(disable=True)
    return made.to(torch.float16) if device.type == "cuda" else made


def generate(peer: Any, recipe: Recipe) -> None:
    """Generate the recipe's first picture."""
    peer(
        read_prompt(recipe.prompt).text,
        height=recipe.height,
        width=recipe.width,
        num_inference_steps=recipe.steps,
        guidance_scale=recipe.guidance_scale,
        output_type="pil",
    )


def compiled(subject: Subject, model: Model) -> Iterator[Figure]:
    """Ours beside the pipeline compiled as its guide says, default mode, channels last.

    Compiling takes minutes, which are not part of the figure.
    """
    peer = pipeline(subject.family, subject.device)
    if not subject.rehearsal:  # inductor needs a C++ compiler on a CPU
        peer.unet.to(memory_format=torch.channels_last)
        peer.unet = torch.compile(peer.unet, fullgraph=True)
        peer.vae.decode = torch.compile(peer.vae.decode, fullgraph=True)
    call = partial(generate, peer, subject.recipe)
    first = seconds(call)
    call()
    ours, theirs = in_turns(
        lambda: list(our_generate(model, subject.recipe)), call, rounds=subject.rounds
    )
    yield figure(f"{subject.job}; diffusers compiled, default mode (aim 0.9)", ours, theirs)
    yield figure("the first job of diffusers compiled", [first])


def sdxl(subject: Subject) -> Iterator[Figure]:
    """SDXL at its native size beside diffusers, if this version has the family."""
    family = next((one for one in FAMILIES if one.id == XL), None)
    if family is None:
        print(f"SDXL is not measured: there is no family {XL!r} in this version.")
        return
    options = BenchmarkOptions(subject.folder, subject.rounds, subject.rehearsal)
    large = subject_of(options, family, steps=30)
    model = large.load()
    peer = pipeline(large.family, large.device)
    call = partial(generate, peer, large.recipe)
    ours_call = partial(our_generate, model, large.recipe)
    call()
    list(our_generate(model, replace(large.recipe, steps=6)))
    ours, theirs = in_turns(lambda: list(ours_call()), call, rounds=large.rounds)
    yield figure(f"SDXL: {large.job}; diffusers float16, eager (aim 1.5)", ours, theirs)


def _text_encoder(family: Family, name: str) -> CLIPTextModel | CLIPTextModelWithProjection:
    part = family.part(name)
    config = CLIPTextConfig(**part.config)
    first = name == next(iter(family.text_encoders))
    return CLIPTextModel(config) if first else CLIPTextModelWithProjection(config)
