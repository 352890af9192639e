"""From a request, with the reference's parameter names, to the engine's recipe."""

from collections.abc import Callable, Mapping
from math import inf
from typing import Any

from PIL import Image

from jobs.limits import SIDE_STEP
from jobs.names import sampler_named
from jobs.pictures.inputs import InputRole
from jobs.validation.request import ImageToImage, Request, TextToImage
from stable_diffusion.image import fit
from stable_diffusion.latent_upscalers import LATENT_UPSCALERS, LatentUpscaler
from stable_diffusion.prompt.grammar import ParsedPrompt
from stable_diffusion.recipe import Recipe, SecondPass
from stable_diffusion.samplers.variation import NO_VARIATION, Variation
from worker.errors import BadInputImage
from worker.execution.prompt_jobs import PromptJob


def recipe_of(
    prompt_job: PromptJob,
    inputs: Mapping[InputRole, Image.Image],
    enlarge: Callable[[Image.Image], Image.Image],
) -> Recipe:
    """The recipe for one prompt of a settled request.

    Args:
        inputs: by role; an img2img request needs `init`, of any size, and may have a `mask` of the
            size that is generated.
        enlarge: brings an image of the first pass to the size of the second.

    Raises:
        BadInputImage: an input that the request needs is missing.
        RecipeError: the engine cannot do what was requested.
    """
    request = prompt_job.request
    recipe = _fields(request, prompt_job.prompt, prompt_job.negative_prompt)
    if isinstance(request, ImageToImage):
        if "init" not in inputs:
            raise BadInputImage("the request has no init image")
        recipe |= {
            "inputs": {**inputs, "init": fit(inputs["init"], *request.sampled_size)},
            "mask_fill": request.mask_fill,
            "image_scale": request.image_scale,
            "strength": request.denoising_strength,
            "noise_multiplier": request.noise_multiplier,
        }
    elif request.has_second_pass:
        # as AUTOMATIC1111 has it: of two passes the refiner has its part in the second
        recipe["second_pass"] = _second_pass(prompt_job, request, enlarge)
        recipe["refiner_switch_at"] = None
    return Recipe(**recipe)


def _second_pass(
    prompt_job: PromptJob, request: TextToImage, enlarge: Callable[[Image.Image], Image.Image]
) -> SecondPass:
    """As the job of image to image that it is equal to, of one picture."""
    width, height = request.generated_size
    changes: dict[str, object] = {
        "W": width,
        "H": height,
        "n_iter": 1,
        "n_samples": 1,
        # a picture starts from its own first pass
        "fixed_code": False,
        "ddim_steps": request.hires_steps or request.ddim_steps,
    }
    if request.hires_sampler:
        changes["sampler"] = request.hires_sampler
    if request.hires_scheduler:
        changes["scheduler"] = request.hires_scheduler
    fields = _fields(
        request.model_copy(update=changes),
        prompt_job.hires_prompt or prompt_job.prompt,
        prompt_job.hires_negative_prompt or prompt_job.negative_prompt,
    )
    recipe = Recipe(**fields, strength=request.hires_strength, steps_before=request.ddim_steps)
    upscaler: str = request.hires_upscaler
    latent: LatentUpscaler | None = next((n for n in LATENT_UPSCALERS if n == upscaler), None)
    return SecondPass(recipe=recipe, enlarge=latent or enlarge)


def _fields(
    request: Request, prompt: ParsedPrompt, negative_prompt: ParsedPrompt
) -> dict[str, Any]:
    """The fields of a recipe without those of an init image."""
    assert request.seed is not None, "a request is settled before it becomes a job"
    width, height = request.sampled_size
    return {
        "prompt": prompt,
        "negative_prompt": negative_prompt,
        "height": height,
        "width": width,
        "steps": request.ddim_steps,
        "sampler": request.sampler,
        "guidance_scale": request.scale,
        "scheduler": request.scheduler,
        "eta": _eta(request),
        "s_churn": request.s_churn,
        "s_tmin": request.s_tmin,
        "s_tmax": inf if request.s_tmax is None else request.s_tmax,
        "s_noise": request.s_noise,
        "guidance_rescale": request.guidance_rescale,
        "guidance_start": request.guidance_start,
        "guidance_end": request.guidance_end,
        "seed": request.seed,
        "variation": _variation(request),
        "tiling": request.tiling,
        "iterations": request.n_iter,
        "batch_size": request.n_samples,
        "fixed_code": request.fixed_code,
        "precision": request.precision,
        "memory_plan": request.type,
        "turbo": request.turbo,
        "deterministic": request.deterministic,
        "cache_interval": request.cache_interval,
        "refiner_switch_at": request.refiner_switch_at,
        "clip_skip": request.clip_skip,
        "zero_negative": request.zero_negative,
        # only the reference's optimized scripts split the batches of the UNet
        "unet_batch": request.unet_bs if request.type == "optimized" else None,
    }


def _eta(request: Request) -> float | None:
    """`eta`, or else `ddim_eta` for the samplers that take that."""
    sampler = sampler_named(request.sampler)
    if request.eta is None and sampler and "ddim_eta" in sampler.takes:
        return request.ddim_eta
    return request.eta


def _variation(request: Request) -> Variation:
    height, width = request.seed_resize_from_h, request.seed_resize_from_w
    resized = None
    if height or width:
        own_width, own_height = request.sampled_size
        resized = ((height or own_height) // SIDE_STEP, (width or own_width) // SIDE_STEP)
    if not request.variation_strength:
        return Variation(size=resized) if resized else NO_VARIATION
    assert request.variation_seed is not None, "a request is settled before it becomes a job"
    return Variation(request.variation_seed, request.variation_strength, resized)
