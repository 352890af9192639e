"""One pass of a job: from prompts and noise, or an image, to finished latents."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor

from stable_diffusion.conditioning import Conditioning, Network
from stable_diffusion.conditioning_schedule import Composition
from stable_diffusion.deep_cache import DeepCache
from stable_diffusion.guidance import (
    guidance_embedding,
    negative_cancels_out,
    without_image,
)
from stable_diffusion.init_latents import InitLatents
from stable_diffusion.model import Model
from stable_diffusion.recipe import Recipe
from stable_diffusion.samplers import resolve
from stable_diffusion.samplers.denoiser import Denoiser
from stable_diffusion.samplers.estimate import Estimate, EstimateOptions
from stable_diffusion.samplers.noise import NoiseSource
from stable_diffusion.samplers.sampler import SamplerOptions
from stable_diffusion.samplers.sampling import sample, step_timesteps
from stable_diffusion.step_batching import MAX_ROWS
from stable_diffusion.stopwatch import Stopwatch


@dataclass(frozen=True, eq=False)
class Sampled:
    """The latents (C, h, w) of the `index`-th picture of the job, made from `seed`.

    `variation_seed` is that of its variation; None: it has none.
    """

    latents: Tensor
    index: int
    seed: int
    variation_seed: int | None


def sampled(
    model: Model,
    recipe: Recipe,
    init: InitLatents,
    on_estimate: Callable[[int, Estimate], object],
    watch: Stopwatch,
) -> Iterator[Sampled]:
    """Sample the recipe's pictures, a batch at a time.

    Args:
        model: as its memory plan uses it.
        init: what the sampling starts from, in the recipe's size.
        on_estimate: called after every evaluation of the network with the number of its batch.

    Raises:
        PromptError: the prompt or the negative prompt cannot be parsed.
        NumericalError: the latents contain NaN or infinity.
    """
    latent_shape = model.family.latents.shape(*recipe.size)
    sampler = resolve(recipe.sampler, recipe.scheduler)
    executed = recipe.executed_steps
    with watch.timing("encode"):
        positive, negative = model.encode_prompts(
            recipe.prompt,
            recipe.negative_prompt,
            recipe.size,
            steps=executed if recipe.steps_before else recipe.steps,
            steps_before=recipe.steps_before,
            clip_skip=recipe.clip_skip,
            zero_negative=recipe.zero_negative,
        )

        width = model.family.guidance_width
        embedded = guidance_embedding(recipe.guidance_scale, width) if width else None

        def placed(row: Conditioning) -> Conditioning:
            return replace(row, concat=init.concat, guidance=embedded).to(model.device)

        positive, negative = positive.map(placed), negative.map(placed)
    guided_by_image = model.family.unet_inputs.image_guided
    timesteps = step_timesteps(sampler, model.schedule, recipe.steps, executed)
    changes = init.changes(timesteps, model.device)
    for iteration in range(recipe.iterations):
        seeds = seeds_of(recipe)[iteration * recipe.batch_size :][: recipe.batch_size]
        first = iteration * recipe.batch_size
        noise = NoiseSource(seeds, latent_shape, recipe.variation, first)
        first_noise = _shared_noise(recipe, latent_shape) if recipe.fixed_code else noise.initial()
        with watch.timing("sample"), model.sampling(), _network(model, recipe, positive) as network:
            denoiser = Denoiser(
                network,
                model.schedule,
                prediction=model.prediction,
                positive=positive,
                negative=negative,
                options=replace(_estimate_options(model, recipe), changes=changes),
                imageless=negative.map(without_image) if guided_by_image else None,
                on_evaluation=partial(on_estimate, iteration),
            )
            latents = sample(
                sampler,
                denoiser,
                noise,
                steps=recipe.steps,
                options=_sampler_options(recipe),
                init_latents=init.start(first_noise),
                strength=recipe.strength,
                noise_multiplier=recipe.noise_multiplier,
                initial_noise=first_noise,
            )
        for number, (seed, latent) in enumerate(zip(seeds, init.finished(latents), strict=True)):
            index = first + number
            yield Sampled(latent, index, seed, recipe.variation.seed_of(index))


def seeds_of(recipe: Recipe) -> list[int]:
    """The seed of every picture of the job: seed + i, or the same for all if they are variations.

    As AUTOMATIC1111 has it: variations of one picture differ in their variation seeds.
    """
    step = 0 if recipe.variation.strength else 1
    return [recipe.seed + i * step for i in range(recipe.images)]


@contextmanager
def _network(model: Model, recipe: Recipe, prompts: Composition) -> Iterator[Network]:
    """The model's UNet for one batch of a job, step-batched with other jobs if the model allows.

    A job that keeps what layers computed is not batched: others have their full evaluations at
    other times.
    """
    if model.step_batcher is None or recipe.deterministic or recipe.caches:
        unbatched = replace(model, graphs=None) if recipe.deterministic else model
        at_once = _at_once(model, recipe, prompts)
        cache = DeepCache(recipe.cache_interval) if recipe.caches else None
        yield partial(unbatched.predict, precision=recipe.precision, at_once=at_once, cache=cache)
        return
    shared = partial(model.predict, precision=recipe.precision, at_once=MAX_ROWS)
    key = (recipe.precision, recipe.size, recipe.tiling, prompts.batch_key)
    with model.step_batcher.batched(shared, key) as network:
        yield network


def _at_once(model: Model, recipe: Recipe, prompts: Composition) -> int | None:
    """How many latents the UNet evaluates together; None leaves it to the device.

    A small UNet on a CPU takes all rows of a guided picture, since calling its layers costs more
    than computing them. The picture remains the same alone and in a batch.
    """
    if model.streamed:
        return sys.maxsize  # its parts split the latents, see `offload.row_splitting`
    weights = [weight for weight, _ in prompts.prompts]
    if model.family.unet_inputs.image_guided and recipe.image_scale != 1:
        rows = len(weights) + 2
    else:
        rows = len(weights) + (not negative_cancels_out(weights, _guidance_scale(model, recipe)))
    # where some evaluations have one row a picture, two would be those of different pictures
    everywhere = recipe.guidance_start == 0 and recipe.guidance_end == 1
    if rows > 1 and everywhere and model.family.small and model.device.type == "cpu":
        return max(rows, (recipe.unet_batch or 0) // rows * rows)
    return recipe.unet_batch


def _guidance_scale(model: Model, recipe: Recipe) -> float:
    """The scale of guidance by a second prediction: 1, none, where the network takes the scale."""
    return 1.0 if model.family.guidance_width else recipe.guidance_scale


def _estimate_options(model: Model, recipe: Recipe) -> EstimateOptions:
    return EstimateOptions(
        guidance_scale=_guidance_scale(model, recipe),
        guidance_rescale=recipe.guidance_rescale,
        guidance_start=recipe.guidance_start,
        guidance_end=recipe.guidance_end,
        image_scale=recipe.image_scale,
    )


def _sampler_options(recipe: Recipe) -> SamplerOptions:
    return SamplerOptions(
        eta=recipe.eta,
        s_churn=recipe.s_churn,
        s_tmin=recipe.s_tmin,
        s_tmax=recipe.s_tmax,
        s_noise=recipe.s_noise,
    )


def _shared_noise(recipe: Recipe, shape: tuple[int, int, int]) -> Tensor:
    return NoiseSource([recipe.seed], shape, recipe.variation).initial()
