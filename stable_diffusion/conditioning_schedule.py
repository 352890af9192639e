"""Conditionings that change between sampling steps, and several that guide together."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import torch

from stable_diffusion.conditioning import Conditioning
from stable_diffusion.errors import PromptError
from stable_diffusion.prompt.grammar import ParsedPrompt, PromptSchedule, schedules_of

Weighted = tuple[float, Conditioning]
"""A factor of the guidance, and one row of conditioning."""


@dataclass(frozen=True, eq=False)
class ConditioningSchedule:
    """One row of conditioning at every step.

    Attributes:
        stages: the last step of each, counted from 1; all of one `batch_key`.
    """

    stages: tuple[tuple[int, Conditioning], ...]

    @classmethod
    def constant(cls, conditioning: Conditioning) -> "ConditioningSchedule":
        """The same row at every step."""
        return cls(((0, conditioning),))

    def at(self, step: int) -> Conditioning:
        """The row at a step, counted from 0; after the last stage, that of the last stage."""
        return next((row for last, row in self.stages if step < last), self.stages[-1][1])

    def map(self, function: Callable[[Conditioning], Conditioning]) -> "ConditioningSchedule":
        """The results of a function of each row. Stages that share a row still share one."""
        rows = {id(row): row for _, row in self.stages}
        mapped = {key: function(row) for key, row in rows.items()}
        return ConditioningSchedule(tuple((last, mapped[id(row)]) for last, row in self.stages))


@dataclass(frozen=True, eq=False)
class Composition:
    """The prompts that a picture is guided towards, each with its weight."""

    prompts: tuple[tuple[float, ConditioningSchedule], ...]

    @classmethod
    def constant(cls, conditioning: Conditioning) -> "Composition":
        """A single prompt that does not change."""
        return cls(((1.0, ConditioningSchedule.constant(conditioning)),))

    def at(self, step: int) -> tuple[Weighted, ...]:
        """The weights and rows at a step, counted from 0."""
        return tuple((weight, schedule.at(step)) for weight, schedule in self.prompts)

    def map(self, function: Callable[[Conditioning], Conditioning]) -> "Composition":
        """The results of a function of each row."""
        return Composition(
            tuple((weight, schedule.map(function)) for weight, schedule in self.prompts)
        )

    @property
    def device(self) -> torch.device:
        """Where its tensors are."""
        return self.at(0)[0][1].device

    @property
    def batch_key(self) -> Hashable:
        """That of all its rows."""
        return self.at(0)[0][1].batch_key


def encode_schedules(
    encode: Callable[[Sequence[ParsedPrompt]], Sequence[Conditioning]],
    prompt: str | ParsedPrompt,
    negative_prompt: str | ParsedPrompt,
    steps: int,
    steps_before: int = 0,
) -> tuple[Composition, ConditioningSchedule]:
    """Encode a prompt and its negative, stage by stage.

    Args:
        encode: prompts to one row each, all of one `batch_key`.
        steps, steps_before: see `schedules_of`.

    Raises:
        PromptError: one of them cannot be read, or the negative prompt is composed.
    """
    positive, negative = (
        schedules_of(text, steps, steps_before) for text in (prompt, negative_prompt)
    )
    unwanted, *others = negative
    if others:
        raise PromptError("a negative prompt cannot be composed with AND")
    stages = [stage for one in (*positive, *negative) for _, stage in one.stages]
    distinct = tuple(dict.fromkeys(stages))
    rows = dict(zip(distinct, encode(distinct), strict=True))

    def schedule(prompt: PromptSchedule) -> ConditioningSchedule:
        return ConditioningSchedule(tuple((last, rows[stage]) for last, stage in prompt.stages))

    return Composition(tuple((one.weight, schedule(one)) for one in positive)), schedule(unwanted)
