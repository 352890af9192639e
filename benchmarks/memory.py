"""What the memory plans take and cost, full size, 512 x 512."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.checkpoints import random_checkpoint
from benchmarks.drawing import PLANS
from benchmarks.harness import Figure, Workshop, figure
from stable_diffusion.loader import Loader
from stable_diffusion.weights.copies import ReadyCopies
from stable_diffusion.weights.fingerprint import Fingerprints

GIGABYTE = 10**9


def measure(workshop: Workshop) -> Iterator[Figure]:
    """Peak memory of each plan, and its time beside that of the plan `standard`."""
    file = random_checkpoint(workshop.folder / "model.safetensors", 1)
    cache = workshop.folder / "cache"
    loader = Loader(
        "cpu",
        Fingerprints(cache / "fingerprints.json"),
        ReadyCopies(cache / "models", 2**40),
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


def _drawn(file: Path, cache: Path, plan: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.drawing", str(file), str(cache), plan]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
