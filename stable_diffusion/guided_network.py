"""A model's network for one pass of a job: with its prompts encoded, and how it is guided."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from functools import partial

from torch import Tensor

from stable_diffusion.conditioning import Conditioning, Network
from stable_diffusion.conditioning_schedule import Composition
from stable_diffusion.deep_cache import DeepCache
from stable_diffusion.errors import RecipeError
from stable_diffusion.families.unet_inputs import UNetInputs
from stable_diffusion.guidance import guidance_embedding, negative_cancels_out, without_image
from stable_diffusion.model import Model
from stable_diffusion.recipe import Recipe
from stable_diffusion.samplers.estimate import EstimateChange, EstimateOptions
from stable_diffusion.samplers.guided import GuidedNetwork, Refinement
from stable_diffusion.step_batching import MAX_ROWS
from stable_diffusion.unet_kind import refiner_misfit


class OpenNetwork:
    """The networks of a sampling, of which one at a time is in memory and takes part in batches."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._open: Callable[[], AbstractContextManager[Network]] | None = None
        self._network: Network | None = None

    def __enter__(self) -> "OpenNetwork":
        return self

    def __exit__(self, *_: object) -> None:
        self._open = None
        self._stack.close()

    def network(self, opened: Callable[[], AbstractContextManager[Network]]) -> Network:
        """A network that is opened when it is called, and closed when another one is.

        Args:
            opened: what it is in the `with` block of.
        """

        def evaluate(x: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
            if self._open is not opened:
                self._stack.close()
                self._network, self._open = self._stack.enter_context(opened()), opened
            assert self._network is not None
            return self._network(x, timesteps, conditioning)

        return evaluate


def guided_network(
    model: Model,
    recipe: Recipe,
    concat: Tensor | None,
    changes: Callable[[UNetInputs], tuple[EstimateChange, ...]],
    networks: OpenNetwork,
) -> GuidedNetwork:
    """The network of a model, with what the recipe's prompts are to it.

    Args:
        model: as its memory plan uses it.
        concat: (1, K, h, w) what the network takes beside the noisy latents; None: nothing.
        changes: those of the estimates of a network with these inputs.
        networks: of the sampling.

    Raises:
        PromptError: the prompt or the negative prompt cannot be parsed.
    """
    positive, negative = model.encode_prompts(
        recipe.prompt,
        recipe.negative_prompt,
        recipe.size,
        steps=recipe.executed_steps if recipe.steps_before else recipe.steps,
        steps_before=recipe.steps_before,
        clip_skip=recipe.clip_skip,
        zero_negative=recipe.zero_negative,
    )
    width = model.family.guidance_width
    embedded = guidance_embedding(recipe.guidance_scale, width) if width else None

    def placed(row: Conditioning) -> Conditioning:
        return replace(row, concat=concat, guidance=embedded).to(model.device)

    positive, negative = positive.map(placed), negative.map(placed)
    guided_by_image = model.family.unet_inputs.image_guided
    return GuidedNetwork(
        network=networks.network(partial(_opened, model, recipe, positive)),
        schedule=model.schedule,
        prediction=model.prediction,
        positive=positive,
        negative=negative,
        imageless=negative.map(without_image) if guided_by_image else None,
        options=replace(
            _estimate_options(model, recipe), changes=changes(model.family.unet_inputs)
        ),
    )


def refinement(
    model: Model,
    recipe: Recipe,
    concat: Tensor | None,
    changes: Callable[[UNetInputs], tuple[EstimateChange, ...]],
    networks: OpenNetwork,
) -> Refinement | None:
    """The network of the model's refiner, from the recipe's share of the noise levels on.

    As in AUTOMATIC1111 and diffusers the share is one of the levels that models are trained on,
    not of the steps. Arguments as of `guided_network`. None: the recipe or the model has none.

    Raises:
        RecipeError: see `check_refiner`.
    """
    refiner = model.refiner
    if refiner is None or recipe.refiner_switch_at is None:
        return None
    check_refiner(model, refiner)
    own_concat = concat if refiner.family.unet_inputs is model.family.unet_inputs else None
    guided = guided_network(refiner, recipe, own_concat, changes, networks)
    return Refinement(guided, first_refined(model, recipe.refiner_switch_at))


def first_refined(model: Model, share: float) -> int:
    """The timestep below which a refiner goes on after this share of a model's noise levels."""
    return round(len(model.schedule.sigmas) * (1 - share))


def check_refiner(model: Model, refiner: Model) -> None:
    """Raise RecipeError for a refiner that cannot go on with what a model has sampled."""
    why = refiner_misfit(model.name, model.family.unet_kind, refiner.family.unet_kind)
    if why:
        raise RecipeError(f"refiner {refiner.name!r} {why}; choose one of the same family")


@contextmanager
def _opened(model: Model, recipe: Recipe, prompts: Composition) -> Iterator[Network]:
    """The model's UNet for one batch of a job, step-batched with other jobs if the model allows.

    A job that keeps what layers computed is not batched: others have their full evaluations at
    other times.
    """
    with model.sampling():
        if model.step_batcher is None or recipe.deterministic or recipe.caches:
            unbatched = replace(model, graphs=None) if recipe.deterministic else model
            at_once = _at_once(model, recipe, prompts)
            cache = DeepCache(recipe.cache_interval) if recipe.caches else None
            yield partial(
                unbatched.predict, precision=recipe.precision, at_once=at_once, cache=cache
            )
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
