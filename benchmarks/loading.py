"""Loading and switching full-size models, beside `StableDiffusionPipeline.from_single_file`."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from torch import nn

from benchmarks.checkpoints import (
    configurations,
    opened_by_diffusers,
    random_checkpoint,
    touch,
)
from benchmarks.harness import Figure, Workshop, figure, in_turns
from stable_diffusion.loader import Loader
from stable_diffusion.networks import parts_of
from stable_diffusion.weights.fingerprint import Fingerprints
from stable_diffusion.weights.weight_cache import WeightCache


def measure(workshop: Workshop) -> Iterator[Figure]:
    """Cold, warm, switching, and the peak of memory."""
    folder = workshop.folder
    file = random_checkpoint(folder / "one.safetensors", 1)
    other = random_checkpoint(folder / "two.safetensors", 2)
    config = configurations(folder / "config")
    cache = folder / "cache"
    yield _peak("peak memory over model, from the file", file)

    def theirs_cold() -> None:
        _forget(file)
        touch(*_networks_of(opened_by_diffusers(file, config)))

    def ours_cold() -> None:
        shutil.rmtree(cache, ignore_errors=True)
        _forget(file)
        _load(file, None)

    ours, peer = in_turns(ours_cold, theirs_cold, rounds=max(1, workshop.rounds // 2))
    yield figure("load, cold, file not in memory", ours, peer)
    for path in (file, other):
        loader = _loader(cache)
        loader.load("model", path)
        loader.finish()

    def theirs_warm() -> None:
        touch(*_networks_of(opened_by_diffusers(file, config)))

    ours, peer = in_turns(lambda: _load(file, cache), theirs_warm, rounds=workshop.rounds)
    yield figure("load, warm, every page touched", ours, peer)

    turn = iter([file, other] * workshop.rounds)
    their_turn = iter([file, other] * workshop.rounds)
    ours, peer = in_turns(
        lambda: _load(next(turn), cache),
        lambda: touch(*_networks_of(opened_by_diffusers(next(their_turn), config))),
        rounds=workshop.rounds,
    )
    yield figure("switch to a model that is not resident", ours, peer)
    yield _peak("peak memory over model, from its ready copy", file, cache)


def _load(path: Path, cache: Path | None) -> None:
    model = _loader(cache).load("model", path)
    touch(*(module for _, module in parts_of(model.networks)))


def _loader(cache: Path | None) -> Loader:
    if cache is None:
        return Loader("cpu", Fingerprints())
    copies = WeightCache(cache / "models", 2**40)
    return Loader("cpu", Fingerprints(cache / "fingerprints.json"), copies)


def _networks_of(pipeline: object) -> tuple[nn.Module, ...]:
    return tuple(getattr(pipeline, part) for part in ("text_encoder", "unet", "vae"))


def _forget(path: Path) -> None:
    """Let the kernel forget what it has read of a file."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _peak(name: str, path: Path, cache: Path | None = None) -> Figure:
    command = [sys.executable, "-m", "benchmarks.peak", str(path), *([str(cache)] if cache else [])]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = json.loads(said)
    return figure(name, [found["peak"] / found["bytes"]], unit="x")
