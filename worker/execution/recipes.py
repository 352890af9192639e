"""From a request, in the README's words, to the engine's recipe."""

from PIL import Image

from jobs.request import ImageToImage, Request
from stable_diffusion.image import fit
from stable_diffusion.recipe import Recipe
from worker.errors import BadInitImage


def recipe_of(request: Request, init_image: Image.Image | None = None) -> Recipe:
    """The recipe of a settled request (its seed drawn).

    Args:
        request: as read back from the record.
        init_image: what an img2img request starts from, of any size.

    Raises:
        BadInitImage: an img2img request has none.
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
        "deterministic": request.deterministic,
        # the reference's optimized scripts alone split the UNet's batches
        "unet_batch": request.unet_bs if request.type == "optimized" else None,
    }
    if isinstance(request, ImageToImage):
        if init_image is None:
            raise BadInitImage("the request has no init image")
        recipe |= {
            "init_image": fit(init_image, request.W, request.H),
            "strength": request.denoising_strength,
            "noise_multiplier": request.noise_multiplier,
        }
    return Recipe(**recipe)
