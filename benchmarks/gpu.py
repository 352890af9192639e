"""On a GPU: a job, many jobs and the memory of both, full size, beside diffusers in half precision.

diffusers as its pages run it on a GPU: float16, eager. Without a GPU there is nothing to measure.
"""

from collections.abc import Iterator
from dataclasses import replace

import torch

from benchmarks.batching import JOBS, all_at_once
from benchmarks.checkpoints import (
    configurations,
    draw_with_diffusers,
    opened_by_diffusers,
    random_checkpoint,
)
from benchmarks.harness import Figure, Workshop, figure, in_turns
from benchmarks.memory import GIGABYTE
from stable_diffusion.generate import generate
from stable_diffusion.loader import Loader
from stable_diffusion.model import Model
from stable_diffusion.recipe import Recipe
from stable_diffusion.weights.fingerprint import Fingerprints

RECIPE = Recipe(prompt="a red dragon on a beach", steps=50, width=512, height=512)
OPTIMIZED = replace(RECIPE, memory_plan="optimized")
LITTLE = 800_000_000
LITTLE_NAME = "optimized with UNET_VRAM_BUDGET=800MB"
MIXED = tuple(replace(job, width=512, height=512, steps=2 * job.steps) for job in JOBS)


def measure(workshop: Workshop) -> Iterator[Figure]:
    """The figures of the first GPU; none without one."""
    if not torch.cuda.is_available():
        return
    file = random_checkpoint(workshop.folder / "model.safetensors", 1)
    loader = Loader("cuda:0", Fingerprints(None), max_concurrent=1)
    resting = loader.load("model", file, offloaded=True)
    little = Loader("cuda:0", Fingerprints(None), max_unet_bytes=LITTLE).load(
        "model", file, offloaded=True
    )
    yield figure(f"peak memory on the GPU, {LITTLE_NAME}", [_peak(little, OPTIMIZED)], unit="GB")
    yield figure("peak memory on the GPU, optimized", [_peak(resting, OPTIMIZED)], unit="GB")
    model = loader.load("model", file)
    yield figure("peak memory on the GPU, standard", [_peak(model, RECIPE)], unit="GB")
    plain = replace(model, graphs=None)
    standard, optimized, in_little, by_layer = in_turns(
        lambda: _drawn(model, RECIPE),
        lambda: _drawn(resting, OPTIMIZED),
        lambda: _drawn(little, OPTIMIZED),
        lambda: _drawn(plain, RECIPE),
        rounds=workshop.rounds,
    )
    yield figure("a job, optimized; standard", optimized, standard)
    yield figure(f"a job, {LITTLE_NAME}; standard", in_little, standard)
    yield figure("a job, replayed; layer by layer", standard, by_layer)
    yield from _beside_one_at_a_time(model, workshop)
    yield from _beside_diffusers(model, workshop)


def _beside_diffusers(model: Model, workshop: Workshop) -> Iterator[Figure]:
    configuration = configurations(workshop.folder / "configuration")
    file = workshop.folder / "model.safetensors"
    peer = opened_by_diffusers(file, configuration, torch.float16).to("cuda:0")

    def theirs() -> None:
        draw_with_diffusers(peer, RECIPE, "pil")

    theirs()  # its kernels are chosen; ours were before
    ours, peers = in_turns(lambda: _drawn(model, RECIPE), theirs, rounds=workshop.rounds)
    yield figure("a job of 50 steps; diffusers float16", ours, peers)


def _beside_one_at_a_time(model: Model, workshop: Workshop) -> Iterator[Figure]:
    def together() -> None:
        all_at_once(model, MIXED, len(MIXED))

    def one_at_a_time() -> None:
        all_at_once(replace(model, step_batcher=None), MIXED, 1)

    together()
    ours, peer = in_turns(together, one_at_a_time, rounds=workshop.rounds)
    yield figure("8 mixed jobs, shared evaluations; one at a time", ours, peer)


def _peak(model: Model, recipe: Recipe) -> float:
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    _drawn(model, recipe)
    return torch.cuda.max_memory_allocated() / GIGABYTE


def _drawn(model: Model, recipe: Recipe) -> None:
    list(generate(model, recipe))
