"""One pass of a job: from prompts and noise, or an image, to finished latents."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from stable_diffusion.guided_network import OpenNetwork, guided_network, refinement
from stable_diffusion.init_latents import InitLatents
from stable_diffusion.model import Model
from stable_diffusion.recipe import Recipe
from stable_diffusion.samplers import resolve
from stable_diffusion.samplers.denoiser import Denoiser
from stable_diffusion.samplers.estimate import Estimate
from stable_diffusion.samplers.noise import NoiseSource
from stable_diffusion.samplers.sampler import SamplerOptions
from stable_diffusion.samplers.sampling import sample, step_timesteps
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
    timesteps = step_timesteps(sampler, model.schedule, recipe.steps, executed)
    changes = partial(init.changes, timesteps, model.device)
    networks = OpenNetwork()
    with watch.timing("encode"):
        guided = guided_network(model, recipe, init.concat, changes, networks)
        refined = refinement(model, recipe, init.concat, changes, networks)
    for iteration in range(recipe.iterations):
        first = iteration * recipe.batch_size
        seeds = seeds_of(recipe)[first : first + recipe.batch_size]
        noise = NoiseSource(seeds, latent_shape, recipe.variation, first)
        first_noise = _shared_noise(recipe, latent_shape) if recipe.fixed_code else noise.initial()
        with watch.timing("sample"), networks:
            denoiser = Denoiser(
                guided, refinement=refined, on_evaluation=partial(on_estimate, iteration)
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
