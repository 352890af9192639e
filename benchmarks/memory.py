"""Memory and time of the memory plans, full size: SD 1.5 at 512 x 512, SDXL at 1024 x 1024."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.checkpoints import random_checkpoint
from benchmarks.generation import PLANS
from benchmarks.harness import BenchmarkOptions, Figure, figure
from stable_diffusion.families.sdxl import BASE
from stable_diffusion.loader import Loader
from stable_diffusion.weights.fingerprint import Fingerprints
from stable_diffusion.weights.weight_cache import WeightCache

GIGABYTE = 10**9


def measure(options: BenchmarkOptions) -> Iterator[Figure]:
    """Peak memory of each plan, and its time compared with the plan `standard`."""
    file = random_checkpoint(options.folder / "model.safetensors", 1)
    cache = options.folder / "cache"
    loader = Loader(
        "cpu",
        Fingerprints(cache / "fingerprints.json"),
        WeightCache(cache / "models", 2**40),
    )
    loader.load("model", file)
    found: dict[str, list[dict[str, float]]] = {plan: [] for plan in PLANS}
    for _ in range(options.rounds):
        for plan in PLANS:
            found[plan].append(_measurements(file, cache, plan))
    for plan in PLANS:
        peaks = [one["peak"] / GIGABYTE for one in found[plan]]
        yield figure(f"peak memory, {plan}", peaks, unit="GB")
    for plan in PLANS[1:]:
        ours, peer = (
            [one["sample"] + one["decode"] for one in found[arm]] for arm in (plan, "standard")
        )
        yield figure(f"time, {plan}; standard", ours, peer)
    alone = [_memory_of(file, cache, 1) for _ in range(options.rounds)]
    yield figure("memory of one worker at work (PSS)", alone, unit="GB")
    beside = [_memory_of(file, cache, 2) for _ in range(options.rounds)]
    yield figure("memory of two workers (PSS)", beside, unit="GB")
    yield from _of_sdxl(options)


def _of_sdxl(options: BenchmarkOptions) -> Iterator[Figure]:
    """One step of the plans in turns; the first round also writes the weight cache."""
    file = random_checkpoint(options.folder / "sdxl.safetensors", 1, BASE)
    cache = options.folder / "cache"
    found: dict[str, list[dict[str, float]]] = {"optimized": [], "standard": []}
    for _ in range(options.rounds):
        for plan, measured in found.items():
            measured.append(_measurements(file, cache, plan, "--size", "1024", "--steps", "1"))
    for plan, measured in found.items():
        yield figure(
            f"peak memory, SDXL, {plan}", [one["peak"] / GIGABYTE for one in measured], unit="GB"
        )
    ours, peer = ([one["sample"] + one["decode"] for one in arm] for arm in found.values())
    yield figure("time, SDXL, optimized; standard", ours, peer)


def _memory_of(file: Path, cache: Path, workers: int) -> float:
    """Memory of several concurrent processes together, in GB."""
    # one thread each, as in workers
    running = [_start(file, cache, "standard", OMP_NUM_THREADS="1") for _ in range(workers)]
    return sum(_result_of(process)["memory"] for process in running) / GIGABYTE


def _measurements(file: Path, cache: Path, plan: str, *options: str) -> dict[str, float]:
    return _result_of(_start(file, cache, plan, *options))


def _start(
    file: Path, cache: Path, plan: str, *options: str, **environment: str
) -> subprocess.Popen[str]:
    module = "benchmarks.generation"
    command = [sys.executable, "-m", module, str(file), str(cache), plan, *options]
    return subprocess.Popen(
        command,
        env=os.environ | environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def _result_of(process: subprocess.Popen[str]) -> dict[str, float]:
    output, _ = process.communicate()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return json.loads(output)
