"""From POST to the picture on a laptop: SD 1.5 size, 512 x 512, beside diffusers.

A real service (API, Valkey, a worker whose one job has all cores) has a checkpoint, an LCM-LoRA
and a small autoencoder of random weights. A request with `preset: fast` takes 4 steps without
guidance and the small decoder; the other 20 guided steps and the full decoder, as diffusers does.
Loading is in none of the arms but in the figures of first pictures.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.checkpoints import configurations, random_checkpoint
from benchmarks.client import Client, encode
from benchmarks.few_step_files import random_lora, random_small_autoencoder
from benchmarks.fixtures import running_stack, running_valkey, until
from benchmarks.harness import BenchmarkOptions, Figure, figure
from benchmarks.peak import resident
from jobs.connection import connect
from jobs.records.record import JobRecords
from jobs.status import JobState
from launcher.stack import Stack

STEPS = 20
FAST_STEPS = 4
_GIGABYTE = 10**9
_LONGEST_SECONDS = 3600.0
_PICTURE = {"prompt": "a red dragon on a beach", "ckpt": "sd15", "H": 512, "W": 512}
_FAST = {**_PICTURE, "preset": "fast"}
_OPTIMIZED = {"type": "optimized", "turbo": False}
_DEFAULTS = '[preset.fast]\nloras = ["lcm-lora-sdv1-5"]\nvae = "taesd"\n'


def measure(options: BenchmarkOptions) -> Iterator[Figure]:
    """The time of both requests beside diffusers', and the peak memory of the worker."""
    folder = options.folder
    file = _install(folder)
    peer = [str(file), str(configurations(folder / "configuration")), str(options.steps)]
    guided = {**_PICTURE, "ddim_steps": options.steps, "scale": 7.5}
    with running_valkey(folder) as broker:
        with _new_worker(folder, broker) as bench:
            first = bench.seconds({**_FAST, **_OPTIMIZED})
            yield figure("first fast picture of a new model, optimized", [first])
        peaks: dict[str, float] = {}
        with _new_worker(folder, broker) as bench:
            first = bench.seconds({**_FAST, **_OPTIMIZED})
            yield figure("first fast picture of a new worker, optimized", [first])
            peaks["fast preset"] = bench.peak()
            bench.seconds({**_PICTURE, **_OPTIMIZED, "ddim_steps": 1, "scale": 7.5})
            peaks["guided"] = bench.peak()
        with _new_worker(folder, broker) as bench:
            ours: dict[str, list[float]] = {"fast preset": [], "20 guided steps": []}
            theirs: list[dict[str, float]] = []
            for _ in range(options.rounds):
                # two models, of which the cache may hold one: each is loaded before it is measured
                bench.seconds(_FAST)
                ours["fast preset"].append(bench.seconds(_FAST))
                bench.seconds({**guided, "ddim_steps": 1})
                ours["20 guided steps"].append(bench.seconds(guided, STEPS - options.steps))
                theirs.append(_by_diffusers(peer))
    baseline = [one["picture"] + (STEPS - options.steps) * one["step"] for one in theirs]
    for name, seconds in ours.items():
        yield figure(f"{name}; diffusers' 20{_remark(name, options.steps)}", seconds, baseline)
    for name, peak in peaks.items():
        highest = [one["peak"] / _GIGABYTE for one in theirs]
        yield figure(f"peak memory, {name}, optimized; diffusers", [peak], highest, unit="GB")


class Bench:
    """Requests to a service with a new worker."""

    def __init__(self, stack: Stack, broker: str) -> None:
        (self._worker,) = stack.worker_pids
        self._client = Client(stack.url)
        self._records = JobRecords(connect(broker), result_ttl_seconds=int(_LONGEST_SECONDS))

    def seconds(self, body: dict[str, Any], further_steps: int = 0) -> float:
        """From before POST to the picture in the record, with further steps at the mean time.

        Raises:
            RuntimeError: the job failed.
        """
        sent = encode(body)
        began = time.time()
        job = self._client.generate(sent)
        until(lambda: self._records.get(job).state.final, _LONGEST_SECONDS, pause=0.05)
        ended = self._records.get(job)
        if ended.state is not JobState.SUCCESS or not ended.finished:
            raise RuntimeError(f"the job is {ended.state}: {ended}")
        metadata = self._client.status(job)["metadata"]
        if "preset" in body and metadata["request"]["ddim_steps"] != FAST_STEPS:
            raise RuntimeError(f"the preset was not used: {metadata}")
        step = metadata["timings"]["sample"] / body.get("ddim_steps", FAST_STEPS)
        return ended.finished - began + further_steps * step

    def peak(self) -> float:
        """The peak of resident memory of the worker since it started, in GB."""
        return resident("VmHWM", self._worker) / _GIGABYTE


@contextmanager
def _new_worker(folder: Path, broker: str) -> Iterator[Bench]:
    with running_stack(folder, broker, {"DEFAULT_MODEL": "sd15"}) as stack:
        yield Bench(stack, broker)


def _install(folder: Path) -> Path:
    """Fill the service's folders; returns the model."""
    models = folder / "models"
    models.mkdir()
    (models / "sd15.toml").write_text(_DEFAULTS)
    random_small_autoencoder(models / "vae" / "taesd.safetensors")
    random_lora(folder / "loras" / "lcm-lora-sdv1-5.safetensors")
    return random_checkpoint(models / "sd15.safetensors", 1)


def _by_diffusers(arguments: list[str]) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.diffusers_picture", *arguments]
    answer = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE)
    return json.loads(answer.stdout)


def _remark(name: str, steps: int) -> str:
    """What of a figure was not run."""
    if steps == STEPS:
        return ""
    return f" (from {steps})" if name == "fast preset" else f" (both from {steps})"
