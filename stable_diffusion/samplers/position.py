"""Where a sampling is: which evaluation, which step, and the share that is done."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Position:
    """The place of an evaluation of the network in the sampling of a batch.

    Attributes:
        evaluation: evaluations before it, from 0 to evaluations − 1.
        evaluations: of the whole sampling. For a sampler that chooses its own number these two are
            `step` and `steps`.
        step: the step it belongs to, from 0 to steps − 1.
        steps: executed steps, see `executed_steps`.
    """

    evaluation: int = 0
    evaluations: int = 1
    step: int = 0
    steps: int = 1

    @property
    def share(self) -> float:
        """The share of the sampling before it, 0 up to but without 1."""
        return self.evaluation / self.evaluations


@dataclass(frozen=True)
class SamplingPlan:
    """What a sampling will visit, announced to the denoiser before its first evaluation.

    Attributes:
        timesteps: the levels as timesteps, falling, one more than steps.
        evaluations: how many there will be.
        exact: whether that number holds. The steps of a sampler that chooses its own number are
            found by their noise level.
    """

    timesteps: tuple[float, ...] = (999.0, 0.0)
    evaluations: int = 1
    exact: bool = False

    def position(self, evaluation: int, timestep: float) -> Position:
        """The place of an evaluation.

        Args:
            evaluation: evaluations before it.
            timestep: its noise level.
        """
        steps = len(self.timesteps) - 1
        if self.exact:
            # whole numbers: with one evaluation a step, and with two, this is the step itself
            step = min(evaluation * steps // self.evaluations, steps - 1)
            return Position(min(evaluation, self.evaluations - 1), self.evaluations, step, steps)
        step = sum(timestep <= level for level in self.timesteps[1:-1])
        return Position(step, steps, step, steps)
