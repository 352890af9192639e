"""How long a phase of training runs, what it prints, and what it leaves behind."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from tqdm import tqdm

SAVED_EVERY = 60.0
"""Seconds of work that a kill may cost."""


def working_seconds(device: torch.device) -> Callable[[], float]:
    """A clock of a device's work: on a CPU it stands still while the cores do somebody else's.

    So a lesson is as long on a busy machine as on one at rest, only later at its end.
    """
    if device.type != "cpu":
        return time.monotonic
    cores = torch.get_num_threads()
    return lambda: time.process_time() / cores


def keep(path: Path, **state: object) -> None:
    """Save a phase's state whole or not at all, whenever the process may be killed."""
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


@dataclass
class Budget:
    """A phase's share of the clock. Steps are drawn until the minutes are spent.

    The learning rate follows the clock, not a step count, so that the same command gives a
    finished model on a slow laptop and on a fast GPU.

    Attributes:
        spent: seconds, kept when a phase is resumed.
        clock: seconds of work; see `working_seconds`.
    """

    name: str
    minutes: float
    spent: float = 0.0
    warm_up: float = 0.02
    flat_until: float = 0.3
    floor: float = 0.03
    clock: Callable[[], float] = time.monotonic
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def fraction(self) -> float:
        """Share of the phase done, 0 to 1."""
        return min(1.0, self.spent / (60 * self.minutes))

    def learning_rate(self, peak: float) -> float:
        """`peak`, warmed up, held, then taken down along a cosine to `floor` of it."""
        done = self.fraction
        if done < self.warm_up:
            return peak * (done + 0.002) / (self.warm_up + 0.002)
        if done < self.flat_until:
            return peak
        turn = (done - self.flat_until) / (1 - self.flat_until)
        return peak * (self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * turn)))

    def steps(self) -> Iterator[int]:
        """Yield 0, 1, 2 … until the time is spent, drawing a progress bar meanwhile."""
        total = round(60 * self.minutes)
        with tqdm(
            total=total, initial=int(self.spent), desc=self.name, unit="s", mininterval=5
        ) as bar:
            step = 0
            while self.spent < total:
                start = self.clock()
                yield step
                step += 1
                self.spent += self.clock() - start
                bar.update(int(self.spent) - bar.n)
                if step % 20 == 0:
                    figures = {name: f"{value:.4g}" for name, value in self.figures.items()}
                    bar.set_postfix({"step": step, **figures})

    def tell(self, words: str) -> None:
        """Print a line that stays, beside the figures so far."""
        figures = " ".join(f"{name} {value:.4g}" for name, value in self.figures.items())
        tqdm.write(
            f"{self.name}: {self.spent / 60:.1f} of {self.minutes:.1f} min, {figures}, {words}"
        )

    def note(self, **figures: float) -> None:
        """Report figures as running means over about the last hundred steps."""
        for name, value in figures.items():
            before = self.figures.get(name, value)
            self.figures[name] = before + (value - before) * 0.02


class Reminder:
    """Comes due whenever a phase has spent so many seconds more.

    Args:
        budget: the phase's.
        seconds: of its clock.
    """

    def __init__(self, budget: Budget, seconds: float) -> None:
        self._budget = budget
        self._seconds = seconds
        self._last = budget.spent

    def due(self) -> bool:
        """Whether the seconds have passed since it last was."""
        if self._budget.spent - self._last < self._seconds:
            return False
        self._last = self._budget.spent
        return True
