"""Loading full-size models, compared with `StableDiffusionPipeline.from_single_file`."""

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
    load_with_diffusers,
    random_checkpoint,
    touch,
)
from benchmarks.harness import BenchmarkOptions, Figure, figure, in_turns
from stable_diffusion.loader import Loader
from stable_diffusion.networks import parts_of
from stable_diffusion.weights.fingerprint import Fingerprints
from stable_diffusion.weights.weight_cache import WeightCache


def measure(options: BenchmarkOptions) -> Iterator[Figure]:
    """Cold and warm loads, switching, and peak memory."""
    folder = options.folder
    file = random_checkpoint(folder / "one.safetensors", 1)
    other = random_checkpoint(folder / "two.safetensors", 2)
    config = configurations(folder / "config")
    cache = folder / "cache"
    yield _peak("peak memory over model, from the file", file)

    def diffusers_cold() -> None:
        _evict(file)
        touch(*_networks_of(load_with_diffusers(file, config)))

    def ours_cold() -> None:
        shutil.rmtree(cache, ignore_errors=True)
        _evict(file)
        _load(file, None)

    ours, peer = in_turns(ours_cold, diffusers_cold, rounds=max(1, options.rounds // 2))
    yield figure("load, cold, file not in the page cache", ours, peer)
    for path in (file, other):
        loader = _loader(cache)
        loader.load("model", path)

    def diffusers_warm() -> None:
        touch(*_networks_of(load_with_diffusers(file, config)))

    ours, peer = in_turns(lambda: _load(file, cache), diffusers_warm, rounds=options.rounds)
    yield figure("load, warm, every page touched", ours, peer)

    turn = iter([file, other] * options.rounds)
    diffusers_turn = iter([file, other] * options.rounds)
    ours, peer = in_turns(
        lambda: _load(next(turn), cache),
        lambda: touch(*_networks_of(load_with_diffusers(next(diffusers_turn), config))),
        rounds=options.rounds,
    )
    yield figure("switch to a model that is not resident", ours, peer)
    yield _peak("peak memory over model, from the weight cache", file, cache)


def _load(path: Path, cache: Path | None) -> None:
    model = _loader(cache).load("model", path)
    touch(*(module for _, module in parts_of(model.networks)))


def _loader(cache: Path | None) -> Loader:
    if cache is None:
        return Loader("cpu", Fingerprints())
    weight_cache = WeightCache(cache / "models", 2**40)
    return Loader("cpu", Fingerprints(cache / "fingerprints.json"), weight_cache)


def _networks_of(pipeline: object) -> tuple[nn.Module, ...]:
    return tuple(getattr(pipeline, part) for part in ("text_encoder", "unet", "vae"))


def _evict(path: Path) -> None:
    """Evict a file from the page cache."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _peak(name: str, path: Path, cache: Path | None = None) -> Figure:
    command = [sys.executable, "-m", "benchmarks.peak", str(path), *([str(cache)] if cache else [])]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = json.loads(output)
    return figure(name, [found["peak"] / found["bytes"]], unit="x")
