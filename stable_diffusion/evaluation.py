"""Reports of progress, counted over all evaluations of a job."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import accumulate
from math import prod

from torch import Tensor

from stable_diffusion.recipe import Recipe
from stable_diffusion.samplers import resolve
from stable_diffusion.samplers.estimate import Estimate
from stable_diffusion.samplers.sampling import evaluations_planned


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


class JobProgress:
    """Counts evaluations over all batches of a job, and over both passes of each.

    An evaluation counts by its pixels, so that the remaining time follows from the share.

    Args:
        report: gets a report of every evaluation.
    """

    def __init__(self, recipe: Recipe, report: Callable[[Evaluation], object]) -> None:
        passes = [_Pass.of(recipe)]
        if recipe.second_pass:
            passes += [_Pass.of(recipe.second_pass.recipe)] * recipe.batch_size
        self._passes = passes
        self._starts = list(accumulate((one.work for one in passes), initial=0.0))
        self._planned = sum(one.planned for one in passes)
        self._iterations = recipe.iterations
        self._report = report
        self._done = 0
        self._current = (0, 0)

    def advance(self, iteration: int, number: int, estimate: Estimate) -> None:
        """Count an evaluation.

        Args:
            iteration: its batch.
            number: the pass of the batch: 0, then the second pass of one picture after the other.
        """
        if (iteration, number) != self._current:
            self._current, self._done = (iteration, number), 0
        self._done += 1
        one, start = self._passes[number], self._starts[number]
        within = min(one.max_fraction, self._done / one.planned)
        share = (start + within * one.work) / self._starts[-1]
        self._report(
            Evaluation(
                iteration,
                self._iterations,
                sum(before.planned for before in self._passes[:number]) + self._done,
                self._planned,
                (iteration + share) / self._iterations,
                estimate.denoised,
            )
        )


@dataclass(frozen=True)
class _Pass:
    """One sampling of a batch.

    Attributes:
        planned: its evaluations.
        work: these times the pixels of an evaluation.
        max_fraction: an estimated count must not report it as finished early.
    """

    planned: int
    work: float
    max_fraction: float

    @classmethod
    def of(cls, recipe: Recipe) -> "_Pass":
        sampler = resolve(recipe.sampler, recipe.scheduler)
        planned = evaluations_planned(sampler, recipe.executed_steps, recipe.batch_size)
        # an inexact plan counts the evaluations of every image
        rows = recipe.batch_size if sampler.row.exact else 1
        work = float(planned * rows * prod(recipe.size))
        return cls(planned, work, 1.0 if sampler.row.exact else 0.99)
