"""Time budget, progress output and saved state of a training phase."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from tqdm import tqdm

SAVE_INTERVAL = 60.0
"""Seconds of computing between two saves."""


def compute_clock(device: torch.device) -> Callable[[], float]:
    """A clock of computing time; on a CPU it stops while other processes use the cores.

    So a stage has the same number of steps on a busy machine; it only ends later.
    """
    if device.type != "cpu":
        return time.monotonic
    cores = torch.get_num_threads()
    return lambda: time.process_time() / cores


def save_state(path: Path, **state: object) -> None:
    """Save a phase's state atomically: the process may be killed at any time."""
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


@dataclass
class Budget:
    """The time of a phase; `steps` yields until it is spent.

    The learning rate depends on the time, not on a step count, so that the same command finishes
    its schedule on a slow laptop and on a fast GPU.

    Attributes:
        spent: seconds, including those before a resume.
        clock: seconds of computing; see `compute_clock`.
        averages: running means of the recorded values.
    """

    name: str
    minutes: float
    spent: float = 0.0
    warm_up: float = 0.02
    flat_until: float = 0.3
    floor: float = 0.03
    clock: Callable[[], float] = time.monotonic
    averages: dict[str, float] = field(default_factory=dict)

    @property
    def fraction(self) -> float:
        """Spent share of the time, 0 to 1."""
        return min(1.0, self.spent / (60 * self.minutes))

    def learning_rate(self, peak: float) -> float:
        """Linear warm-up to `peak`, then constant, then a cosine down to `floor` · `peak`."""
        done = self.fraction
        if done < self.warm_up:
            return peak * (done + 0.002) / (self.warm_up + 0.002)
        if done < self.flat_until:
            return peak
        turn = (done - self.flat_until) / (1 - self.flat_until)
        return peak * (self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * turn)))

    def steps(self) -> Iterator[int]:
        """Yield 0, 1, 2 … until the time is spent; shows a progress bar."""
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
                    values = {name: f"{value:.4g}" for name, value in self.averages.items()}
                    bar.set_postfix({"step": step, **values})

    def log(self, text: str) -> None:
        """Print a line with the averages and `text` above the progress bar."""
        averages = " ".join(f"{name} {value:.4g}" for name, value in self.averages.items())
        tqdm.write(
            f"{self.name}: {self.spent / 60:.1f} of {self.minutes:.1f} min, {averages}, {text}"
        )

    def record(self, **values: float) -> None:
        """Update the running means, over about the last hundred steps."""
        for name, value in values.items():
            before = self.averages.get(name, value)
            self.averages[name] = before + (value - before) * 0.02


class IntervalTimer:
    """Is due whenever a phase has spent another number of seconds.

    Args:
        budget: the phase's budget.
        seconds: the interval, in seconds of the budget's clock.
    """

    def __init__(self, budget: Budget, seconds: float) -> None:
        self._budget = budget
        self._seconds = seconds
        self._last = budget.spent

    def due(self) -> bool:
        """Whether the interval has passed since the last True."""
        if self._budget.spent - self._last < self._seconds:
            return False
        self._last = self._budget.spent
        return True
