"""From a recipe to pictures, top to bottom: encode, sample, decode."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from PIL.Image import Image

from stable_diffusion.evaluation import Evaluation, JobProgress
from stable_diffusion.hires import second_pass
from stable_diffusion.image import to_image
from stable_diffusion.init_latents import encode_inputs
from stable_diffusion.memory_plan import apply_memory_plan
from stable_diffusion.model import Model
from stable_diffusion.prompt.conditioning import explain
from stable_diffusion.recipe import Recipe
from stable_diffusion.samplers import resolve
from stable_diffusion.samplers.estimate import Estimate
from stable_diffusion.sampling_pass import sampled
from stable_diffusion.stopwatch import Stopwatch


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
        `recipe.images` pictures of `recipe.final_size`, in order.

    Raises:
        PromptError: the prompt or the negative prompt cannot be parsed.
        NumericalError: the latents contain NaN or infinity.
    """
    watch = stopwatch or Stopwatch()
    model = _planned(model, recipe)
    progress = JobProgress(recipe, on_evaluation)

    def first_pass(iteration: int, estimate: Estimate) -> None:
        progress.advance(iteration, 0, estimate)

    with watch.timing("encode"):
        init = encode_inputs(model, recipe)
    for one in sampled(model, recipe, init, first_pass, watch):
        latents = one.latents
        if recipe.second_pass:
            iteration, number = divmod(one.index, recipe.batch_size)
            advance = partial(progress.advance, iteration, number + 1)
            latents = second_pass(model, recipe.second_pass, one, advance, watch)
        with watch.timing("decode"):
            image = to_image(model.decode(latents, precision=recipe.precision))
        yield Picture(image, one.index, one.seed, one.variation_seed)


def _planned(model: Model, recipe: Recipe) -> Model:
    """The model as the recipe uses it, and its refiner."""
    planned = apply_memory_plan(model.tiled if recipe.tiling else model, recipe)
    if model.refiner is None:
        return planned
    return replace(planned, refiner=_planned(model.refiner, recipe))


def describe(model: Model, recipe: Recipe) -> dict[str, object]:
    """How this model executes the recipe, as plain JSON data for the job's record.

    Raises:
        PromptError: the prompt or the negative prompt cannot be parsed.
    """
    return {
        "model": model.name,
        "model_hash": model.hash,
        "sampler": resolve(recipe.sampler, recipe.scheduler).row.label,
        "executed_steps": recipe.executed_steps,
        "prompt": explain(recipe.prompt, model.tokenizer, recipe.steps),
        "negative_prompt": explain(recipe.negative_prompt, model.tokenizer, recipe.steps),
    }
