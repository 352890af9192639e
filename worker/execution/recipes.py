"""From a request, with the reference's parameter names, to the engine's recipe."""

from collections.abc import Mapping
from math import inf

from PIL import Image

from jobs.inputs import InputRole
from jobs.limits import SIDE_STEP
from jobs.names import sampler_named
from jobs.request import ImageToImage, Request
from stable_diffusion.image import fit
from stable_diffusion.recipe import Recipe
from stable_diffusion.samplers.variation import NO_VARIATION, Variation
from worker.errors import BadInputImage
from worker.execution.prompt_jobs import PromptJob


def recipe_of(prompt_job: PromptJob, inputs: Mapping[InputRole, Image.Image]) -> Recipe:
    """The recipe for one prompt of a settled request.

    Args:
        inputs: by role; an img2img request needs `init`, of any size, and may have a `mask` of the
            size that is generated.

    Raises:
        BadInputImage: an input that the request needs is missing.
        RecipeError: the engine cannot do what was requested.
    """
    request = prompt_job.request
    assert request.seed is not None, "a request is settled before it becomes a job"
    width, height = request.sampled_size
    recipe = {
        "prompt": prompt_job.prompt,
        "negative_prompt": prompt_job.negative_prompt,
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
        "clip_skip": request.clip_skip,
        # only the reference's optimized scripts split the batches of the UNet
        "unet_batch": request.unet_bs if request.type == "optimized" else None,
    }
    if isinstance(request, ImageToImage):
        if "init" not in inputs:
            raise BadInputImage("the request has no init image")
        recipe |= {
            "inputs": {**inputs, "init": fit(inputs["init"], width, height)},
            "mask_fill": request.mask_fill,
            "image_scale": request.image_scale,
            "strength": request.denoising_strength,
            "noise_multiplier": request.noise_multiplier,
        }
    return Recipe(**recipe)


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
        resized = ((height or request.H) // SIDE_STEP, (width or request.W) // SIDE_STEP)
    if not request.variation_strength:
        return Variation(size=resized) if resized else NO_VARIATION
    assert request.variation_seed is not None, "a request is settled before it becomes a job"
    return Variation(request.variation_seed, request.variation_strength, resized)
