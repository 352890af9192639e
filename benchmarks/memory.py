"""What the memory plans take and cost, full size, 512 x 512."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.checkpoints import random_checkpoint
from benchmarks.drawing import PLANS
from benchmarks.harness import Figure, Workshop, figure
from stable_diffusion.loader import Loader
from stable_diffusion.weights.fingerprint import Fingerprints
from stable_diffusion.weights.weight_cache import WeightCache

GIGABYTE = 10**9


def measure(workshop: Workshop) -> Iterator[Figure]:
    """Peak memory of each plan, and its time beside that of the plan `standard`."""
    file = random_checkpoint(workshop.folder / "model.safetensors", 1)
    cache = workshop.folder / "cache"
    loader = Loader(
        "cpu",
        Fingerprints(cache / "fingerprints.json"),
        WeightCache(cache / "models", 2**40),
    )
    loader.load("model", file)
    loader.finish()
    found: dict[str, list[dict[str, float]]] = {plan: [] for plan in PLANS}
    for _ in range(workshop.rounds):
        for plan in PLANS:
            found[plan].append(_drawn(file, cache, plan))
    for plan in PLANS:
        peaks = [one["peak"] / GIGABYTE for one in found[plan]]
        yield figure(f"peak memory, {plan}", peaks, unit="GB")
    for plan in PLANS[1:]:
        ours, peer = (
            [one["sample"] + one["decode"] for one in found[arm]] for arm in (plan, "standard")
        )
        yield figure(f"time, {plan} beside standard", ours, peer)
    alone = [_held(file, cache, 1) for _ in range(workshop.rounds)]
    yield figure("memory of one worker at work (PSS)", alone, unit="GB")
    beside = [_held(file, cache, 2) for _ in range(workshop.rounds)]
    yield figure("memory of two workers (PSS)", beside, unit="GB")


def _held(file: Path, cache: Path, workers: int) -> float:
    """What processes that draw at the same time hold together, in GB."""
    # one core for each, as workers have them
    running = [_start(file, cache, "standard", OMP_NUM_THREADS="1") for _ in range(workers)]
    return sum(_told(process)["held"] for process in running) / GIGABYTE


def _drawn(file: Path, cache: Path, plan: str) -> dict[str, float]:
    return _told(_start(file, cache, plan))


def _start(file: Path, cache: Path, plan: str, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.drawing", str(file), str(cache), plan]
    return subprocess.Popen(
        command,
        env=os.environ | environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def _told(process: subprocess.Popen[str]) -> dict[str, float]:
    said, _ = process.communicate()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return json.loads(said)
