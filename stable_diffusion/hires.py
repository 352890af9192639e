"""A second, larger pass over the pictures of a first one, called hires fix in AUTOMATIC1111.

A model repeats its subject in a picture that is much larger than those it was trained on. So the
picture is made small, enlarged, and in part sampled anew as image to image does it. Each picture
has its second pass alone: the memory that it takes is that of one large picture. Its noise is that
of the same seed in a job of image to image.
"""

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor
from torch.nn.functional import interpolate

from stable_diffusion.image import to_image
from stable_diffusion.init_latents import encode_inputs
from stable_diffusion.latent_upscalers import LatentUpscaler
from stable_diffusion.model import Model
from stable_diffusion.recipe import Recipe, SecondPass
from stable_diffusion.samplers.estimate import Estimate
from stable_diffusion.sampling_pass import Sampled, sampled
from stable_diffusion.stopwatch import Stopwatch

_MODES: dict[LatentUpscaler, tuple[str, bool]] = {
    "latent": ("bilinear", False),
    "latent_antialiased": ("bilinear", True),
    "latent_bicubic": ("bicubic", False),
    "latent_bicubic_antialiased": ("bicubic", True),
    "latent_nearest": ("nearest", False),
    "latent_nearest_exact": ("nearest-exact", False),
}
"""The mode of `interpolate`, and whether it is antialiased, as AUTOMATIC1111 has them."""


def second_pass(
    model: Model,
    second: SecondPass,
    first: Sampled,
    on_estimate: Callable[[Estimate], object],
    watch: Stopwatch,
) -> Tensor:
    """The latents of a picture of the first pass after the second one.

    Args:
        model: as its memory plan uses it.
        on_estimate: called after every evaluation of the network.

    Raises:
        PromptError, NumericalError: see `sampled`.
    """
    recipe = _of_picture(second.recipe, first)
    if not callable(second.enlarge):
        with watch.timing("encode"):
            size = model.family.latents.shape(*recipe.size)[1:]
            larger = resampled(first.latents[None], size, second.enlarge)
            init = replace(encode_inputs(model, recipe), image=larger)
    else:
        with watch.timing("decode"):
            image = to_image(model.decode(first.latents, precision=recipe.precision))
        recipe = replace(recipe, inputs={"init": second.enlarge(image)})
        with watch.timing("encode"):
            init = encode_inputs(model, recipe)
    (one,) = sampled(model, recipe, init, lambda _, estimate: on_estimate(estimate), watch)
    return one.latents


def resampled(latents: Tensor, size: tuple[int, int], mode: LatentUpscaler) -> Tensor:
    """Latents (1, C, h, w) → (1, C, *size): resampled, then cropped around the centre."""
    shares = [there / here for there, here in zip(size, latents.shape[2:], strict=True)]
    covering = [
        max(there, round(here * max(shares)))
        for there, here in zip(size, latents.shape[2:], strict=True)
    ]
    name, antialias = _MODES[mode]
    larger = interpolate(latents, size=covering, mode=name, antialias=antialias)
    top, left = ((have - want) // 2 for have, want in zip(covering, size, strict=True))
    return larger[:, :, top : top + size[0], left : left + size[1]].contiguous()


def _of_picture(recipe: Recipe, first: Sampled) -> Recipe:
    """The recipe with the seeds of one picture, which is the only one."""
    variation = recipe.variation
    if first.variation_seed is not None:
        variation = replace(variation, seed=first.variation_seed)
    return replace(recipe, seed=first.seed, variation=variation)
