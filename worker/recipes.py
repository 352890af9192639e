"""From a request, in the README's words, to the engine's recipe."""

import io

from PIL import Image, UnidentifiedImageError

from jobs.request import ImageToImage, Request
from stable_diffusion.image import fit
from stable_diffusion.recipe import Recipe
from worker.errors import BadInitImage


def recipe_of(request: Request, init_image: bytes | None = None) -> Recipe:
    """The recipe of a settled request (its seed drawn).

    Args:
        request: as read back from the record.
        init_image: the stored PNG of an img2img request.

    Raises:
        BadInitImage: it cannot be opened.
        RecipeError: the engine cannot do what was asked for.
    """
    seed = request.seed
    assert seed is not None, "a request is settled before it becomes a job"
    recipe = {
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        "height": request.H,
        "width": request.W,
        "steps": request.ddim_steps,
        "sampler": request.sampler,
        "guidance_scale": request.scale,
        "eta": request.ddim_eta,
        "seed": seed,
        "iterations": request.n_iter,
        "batch_size": request.n_samples,
        "fixed_code": request.fixed_code,
        "precision": request.precision,
        "memory_plan": request.type,
        "turbo": request.turbo,
    }
    if isinstance(request, ImageToImage):
        recipe |= {
            "init_image": fit(_opened(init_image or b""), request.W, request.H),
            "strength": request.denoising_strength,
            "noise_multiplier": request.noise_multiplier,
        }
    return Recipe(**recipe)


def _opened(data: bytes) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data), formats=["PNG"])
        image.load()
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise BadInitImage("the init image cannot be opened") from error
    return image
