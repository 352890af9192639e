"""From a request, with the reference's parameter names, to the engine's recipe."""

from collections.abc import Mapping

from PIL import Image

from jobs.inputs import InputRole
from jobs.request import ImageToImage
from stable_diffusion.image import fit
from stable_diffusion.recipe import Recipe
from worker.errors import BadInputImage
from worker.execution.prompt_jobs import PromptJob


def recipe_of(prompt_job: PromptJob, inputs: Mapping[InputRole, Image.Image]) -> Recipe:
    """The recipe for one prompt of a settled request.

    Args:
        inputs: by role, of any size; an img2img request needs `init`.

    Raises:
        BadInputImage: an input that the request needs is missing.
        RecipeError: the engine cannot do what was requested.
    """
    request = prompt_job.request
    assert request.seed is not None, "a request is settled before it becomes a job"
    recipe = {
        "prompt": prompt_job.prompt,
        "negative_prompt": prompt_job.negative_prompt,
        "height": request.H,
        "width": request.W,
        "steps": request.ddim_steps,
        "sampler": request.sampler,
        "guidance_scale": request.scale,
        "eta": request.ddim_eta,
        "seed": request.seed,
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
            "inputs": {role: fit(image, request.W, request.H) for role, image in inputs.items()},
            "strength": request.denoising_strength,
            "noise_multiplier": request.noise_multiplier,
        }
    return Recipe(**recipe)
