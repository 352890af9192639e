"""From a recipe to pictures, top to bottom: encode, sample, decode."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

from PIL.Image import Image
from torch import Tensor

from stable_diffusion.conditioning import Conditioning, Network
from stable_diffusion.conditioning_schedule import Composition
from stable_diffusion.guidance import negative_cancels_out, without_image
from stable_diffusion.image import to_image
from stable_diffusion.init_latents import encode_inputs
from stable_diffusion.memory_plan import apply_memory_plan
from stable_diffusion.model import Model
from stable_diffusion.prompt.conditioning import explain
from stable_diffusion.recipe import Recipe
from stable_diffusion.samplers import resolve
from stable_diffusion.samplers.denoiser import Denoiser
from stable_diffusion.samplers.estimate import Estimate, EstimateOptions
from stable_diffusion.samplers.noise import NoiseSource
from stable_diffusion.samplers.sampler import SamplerOptions
from stable_diffusion.samplers.sampling import (
    evaluations_planned,
    executed_steps,
    sample,
    step_timesteps,
)
from stable_diffusion.step_batching import MAX_ROWS
from stable_diffusion.stopwatch import Stopwatch


@dataclass(frozen=True)
class Evaluation:
    """A report of progress, made after every evaluation of the network.

    Attributes:
        iteration, iterations: which batch of the job, from 0, of how many.
        evaluation, evaluations: how many evaluations of this batch are done, of how many planned
            (an adaptive sampler may need more or fewer than planned).
        fraction: share of the whole job that is done, 0..1, never falling.
        denoised: computes the denoised latents (n, C, h, w) of the batch as now estimated, on the
            model's device; n is 1 for a sampler that samples the images one by one. It may be
            called at any time and in any thread, and costs nothing until then.
    """

    iteration: int
    iterations: int
    evaluation: int
    evaluations: int
    fraction: float
    denoised: Callable[[], Tensor] = field(repr=False, compare=False)


@dataclass(frozen=True)
class Picture:
    """A finished picture: the `index`-th of its job, made from `seed`.

    `variation_seed` is that of its variation; None: it has none.
    """

    image: Image
    index: int
    seed: int
    variation_seed: int | None = None


def generate(
    model: Model,
    recipe: Recipe,
    on_evaluation: Callable[[Evaluation], object] = lambda _evaluation: None,
    stopwatch: Stopwatch | None = None,
) -> Iterator[Picture]:
    """Make the recipe's pictures, a batch at a time.

    Args:
        on_evaluation: called after every evaluation of the network, in the same thread. To cancel
            the job it raises an exception, which `generate` passes on.
        stopwatch: times the phases encode, sample and decode.

    Yields:
        `recipe.images` pictures of recipe.width x recipe.height, in order.

    Raises:
        PromptError: the prompt or the negative prompt cannot be parsed.
        NumericalError: the latents contain NaN or infinity.
    """
    watch = stopwatch or Stopwatch()
    model = apply_memory_plan(model.tiled if recipe.tiling else model, recipe)
    latent_shape = model.family.latents.shape(*recipe.size)
    sampler = resolve(recipe.sampler, recipe.scheduler)
    with watch.timing("encode"):
        positive, negative = model.encode_prompts(
            recipe.prompt,
            recipe.negative_prompt,
            recipe.size,
            steps=recipe.steps,
            clip_skip=recipe.clip_skip,
        )
        init = encode_inputs(model, recipe)

        def placed(row: Conditioning) -> Conditioning:
            return replace(row, concat=init.concat).to(model.device)

        positive, negative = positive.map(placed), negative.map(placed)
    guided_by_image = model.family.unet_inputs.image_guided
    timesteps = step_timesteps(sampler, model.schedule, recipe.steps, _executed(recipe))
    changes = init.changes(timesteps, model.device)
    progress = _Progress(recipe, on_evaluation)
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
                options=replace(_estimate_options(recipe), changes=changes),
                imageless=negative.map(without_image) if guided_by_image else None,
                on_evaluation=partial(progress.advance, iteration),
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
            with watch.timing("decode"):
                image = to_image(model.decode(latent))
            index = first + number
            yield Picture(image, index, seed, recipe.variation.seed_of(index))


def seeds_of(recipe: Recipe) -> list[int]:
    """The seed of every picture of the job: seed + i, or the same for all if they are variations.

    As AUTOMATIC1111 has it: variations of one picture differ in their variation seeds.
    """
    step = 0 if recipe.variation.strength else 1
    return [recipe.seed + i * step for i in range(recipe.images)]


def describe(model: Model, recipe: Recipe) -> dict[str, object]:
    """How this model executes the recipe, as plain JSON data for the job's record.

    Raises:
        PromptError: the prompt or the negative prompt cannot be parsed.
    """
    return {
        "model": model.name,
        "model_hash": model.hash,
        "sampler": resolve(recipe.sampler, recipe.scheduler).row.label,
        "executed_steps": _executed(recipe),
        "prompt": explain(recipe.prompt, model.tokenizer, recipe.steps),
        "negative_prompt": explain(recipe.negative_prompt, model.tokenizer, recipe.steps),
    }


@contextmanager
def _network(model: Model, recipe: Recipe, prompts: Composition) -> Iterator[Network]:
    """The model's UNet for one batch of a job, step-batched with other jobs if the model allows."""
    if model.step_batcher is None or recipe.deterministic:
        unbatched = replace(model, graphs=None) if recipe.deterministic else model
        at_once = _at_once(model, recipe, prompts)
        yield partial(unbatched.predict, precision=recipe.precision, at_once=at_once)
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
    weights = [weight for weight, _ in prompts.prompts]
    if model.family.unet_inputs.image_guided and recipe.image_scale != 1:
        rows = len(weights) + 2
    else:
        rows = len(weights) + (not negative_cancels_out(weights, recipe.guidance_scale))
    # where some evaluations have one row a picture, two would be those of different pictures
    everywhere = recipe.guidance_start == 0 and recipe.guidance_end == 1
    if rows > 1 and everywhere and model.family.small and model.device.type == "cpu":
        return max(rows, (recipe.unet_batch or 0) // rows * rows)
    return recipe.unet_batch


def _estimate_options(recipe: Recipe) -> EstimateOptions:
    return EstimateOptions(
        guidance_scale=recipe.guidance_scale,
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


def _executed(recipe: Recipe) -> int:
    return executed_steps(recipe.steps, recipe.strength if recipe.init_image else 1.0)


def _shared_noise(recipe: Recipe, shape: tuple[int, int, int]) -> Tensor:
    return NoiseSource([recipe.seed], shape, recipe.variation).initial()


class _Progress:
    """Counts evaluations over all batches of a job."""

    def __init__(self, recipe: Recipe, report: Callable[[Evaluation], object]) -> None:
        self._iterations = recipe.iterations
        self._planned = evaluations_planned(
            resolve(recipe.sampler, recipe.scheduler), _executed(recipe), recipe.batch_size
        )
        # an estimated count must not report a batch as finished early
        self._max_fraction = 1.0 if resolve(recipe.sampler, recipe.scheduler).row.exact else 0.99
        self._report = report
        self._done = 0
        self._current = 0

    def advance(self, iteration: int, estimate: Estimate) -> None:
        if iteration != self._current:
            self._current, self._done = iteration, 0
        self._done += 1
        within = min(self._max_fraction, self._done / self._planned)
        fraction = (iteration + within) / self._iterations
        self._report(
            Evaluation(
                iteration,
                self._iterations,
                self._done,
                self._planned,
                fraction,
                estimate.denoised,
            )
        )
