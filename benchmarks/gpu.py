"""On a GPU: time and memory of one job and of many, full size, compared with diffusers.

diffusers runs as in its documentation: float16, eager. Without a GPU this measures nothing.
"""

from collections.abc import Iterator
from dataclasses import replace

import torch

from benchmarks.batching import JOBS, run_concurrently
from benchmarks.checkpoints import (
    configurations,
    generate_with_diffusers,
    load_with_diffusers,
    random_checkpoint,
)
from benchmarks.harness import BenchmarkOptions, Figure, figure, in_turns
from benchmarks.memory import GIGABYTE
from stable_diffusion.generate import generate
from stable_diffusion.loader import Loader
from stable_diffusion.model import Model
from stable_diffusion.recipe import Recipe
from stable_diffusion.weights.fingerprint import Fingerprints

RECIPE = Recipe(prompt="a red dragon on a beach", steps=50, width=512, height=512)
OPTIMIZED = replace(RECIPE, memory_plan="optimized")
BUDGET = 800_000_000
BUDGET_NAME = "optimized with UNET_VRAM_BUDGET=800MB"
MIXED = tuple(replace(job, width=512, height=512, steps=2 * job.steps) for job in JOBS)


def measure(options: BenchmarkOptions) -> Iterator[Figure]:
    """The figures of the first GPU; none without a GPU."""
    if not torch.cuda.is_available():
        return
    file = random_checkpoint(options.folder / "model.safetensors", 1)
    loader = Loader("cuda:0", Fingerprints(None), max_concurrent=1)
    offloaded_model = loader.load("model", file, offloaded=True)
    budgeted = Loader("cuda:0", Fingerprints(None), max_unet_bytes=BUDGET).load(
        "model", file, offloaded=True
    )
    yield figure(f"peak memory on the GPU, {BUDGET_NAME}", [_peak(budgeted, OPTIMIZED)], unit="GB")
    yield figure(
        "peak memory on the GPU, optimized", [_peak(offloaded_model, OPTIMIZED)], unit="GB"
    )
    model = loader.load("model", file)
    yield figure("peak memory on the GPU, standard", [_peak(model, RECIPE)], unit="GB")
    eager = replace(model, graphs=None)
    standard, optimized, in_budget, without_graphs = in_turns(
        lambda: _generate(model, RECIPE),
        lambda: _generate(offloaded_model, OPTIMIZED),
        lambda: _generate(budgeted, OPTIMIZED),
        lambda: _generate(eager, RECIPE),
        rounds=options.rounds,
    )
    yield figure("a job, optimized; standard", optimized, standard)
    yield figure(f"a job, {BUDGET_NAME}; standard", in_budget, standard)
    yield figure("a job, with CUDA graphs; without", standard, without_graphs)
    yield from _batching(model, options)
    yield from _diffusers(model, options)


def _diffusers(model: Model, options: BenchmarkOptions) -> Iterator[Figure]:
    configuration = configurations(options.folder / "configuration")
    file = options.folder / "model.safetensors"
    pipeline = load_with_diffusers(file, configuration, torch.float16).to("cuda:0")

    def diffusers() -> None:
        generate_with_diffusers(pipeline, RECIPE, "pil")

    diffusers()  # warm-up: selects its kernels, as ours already are
    ours, peer = in_turns(lambda: _generate(model, RECIPE), diffusers, rounds=options.rounds)
    yield figure("a job of 50 steps; diffusers float16", ours, peer)


def _batching(model: Model, options: BenchmarkOptions) -> Iterator[Figure]:
    def together() -> None:
        run_concurrently(model, MIXED, len(MIXED))

    def one_at_a_time() -> None:
        run_concurrently(replace(model, step_batcher=None), MIXED, 1)

    together()
    ours, peer = in_turns(together, one_at_a_time, rounds=options.rounds)
    yield figure("8 mixed jobs, shared evaluations; one at a time", ours, peer)


def _peak(model: Model, recipe: Recipe) -> float:
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    _generate(model, recipe)
    return torch.cuda.max_memory_allocated() / GIGABYTE


def _generate(model: Model, recipe: Recipe) -> None:
    list(generate(model, recipe))
