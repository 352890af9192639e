"""Measures two arms in turn and writes their ratio.

Machines differ and are never at rest: the ratio of two arms that took turns depends less on the
machine than either time.
"""

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

Arm = Callable[[], object]


@dataclass(frozen=True)
class Figure:
    """One line of `bench.json`.

    Attributes:
        ours, peer: medians; peer is None where nothing is compared.
        ratio: peer / ours, for values that should be small: above 1 ours is better. `ours` where
            there is no peer; None where ours is zero and there is a peer.
        spread: the widest of the arms' (largest - smallest) / median.
    """

    name: str
    ours: float
    peer: float | None
    unit: str
    ratio: float | None
    spread: float
    machine: str

    def __str__(self) -> str:
        peer = "" if self.peer is None else f"   peer {self.peer:9.3f}"
        if self.peer is not None and self.ratio is not None:
            peer += f"   ratio {self.ratio:6.2f}"
        return f"{self.name:<44} {self.ours:9.3f} {self.unit}{peer}   spread {self.spread:.0%}"


@dataclass(frozen=True)
class BenchmarkOptions:
    """How to measure.

    Attributes:
        folder: a temporary one.
        rounds: how often each arm is run.
        rehearsal: only errors are to be found: what measures a GPU runs on a CPU, in small.
        steps: of the 20 guided steps of `laptop`, how many are run; the others are added at the
            time of these.
    """

    folder: Path
    rounds: int = 5
    rehearsal: bool = False
    steps: int = 20


def seconds(arm: Arm) -> float:
    """How long an arm takes."""
    began = time.perf_counter()
    arm()
    return time.perf_counter() - began


def in_turns(*arms: Arm, rounds: int) -> list[list[float]]:
    """The seconds of each arm in each round, the arms one after the other in every round."""
    taken: list[list[float]] = [[] for _ in arms]
    for _ in range(rounds):
        for times, arm in zip(taken, arms, strict=True):
            times.append(seconds(arm))
    return taken


def figure(
    name: str, ours: list[float], peer: list[float] | None = None, unit: str = "s"
) -> Figure:
    """The medians of two arms' measurements as a line."""
    middle = statistics.median(ours)
    other = statistics.median(peer) if peer else None
    return Figure(
        name=name,
        ours=round(middle, 4),
        peer=None if other is None else round(other, 4),
        unit=unit,
        ratio=_ratio(middle, other),
        spread=round(max(_spread(times) for times in (ours, peer) if times), 3),
        machine=machine(),
    )


def record(figures: list[Figure], file: Path) -> None:
    """Append to `bench.json`. An interruption leaves the file as it was."""
    before = json.loads(file.read_text()) if file.is_file() else []
    new = file.with_name(f"{file.name}.new")
    new.write_text(json.dumps([*before, *map(asdict, figures)], indent=1, allow_nan=False) + "\n")
    new.replace(file)


def markdown(figures: Sequence[Figure]) -> str:
    """The figures as a table for a page."""
    rows = ["| measure | ours | baseline | ratio |", "|---|---|---|---|"]
    for one in figures:
        baseline = "" if one.peer is None else f"{one.peer:g} {one.unit}".rstrip()
        ratio = "" if one.peer is None or one.ratio is None else f"{one.ratio:.2f}"
        rows.append(f"| {one.name} | {one.ours:g} {one.unit} | {baseline} | {ratio} |")
    return "\n".join(rows)


def machine() -> str:
    """The processor's name, the number of cores that this process may use, and the GPU's name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    torch = sys.modules.get("torch")  # importing it takes seconds
    gpu = f", {torch.cuda.get_device_name()}" if torch and torch.cuda.is_available() else ""
    return f"{next(names, platform.machine())}, {len(os.sched_getaffinity(0))} cores{gpu}"


def _ratio(ours: float, peer: float | None) -> float | None:
    if peer is None:
        return round(ours, 3)
    return round(peer / ours, 3) if ours else None


def _spread(values: list[float]) -> float:
    """(largest − smallest) / median; divided by the largest where the median is zero.

    A measured error may be zero.
    """
    largest = max(values)
    if largest == min(values):
        return 0.0
    return (largest - min(values)) / (statistics.median(values) or largest)
