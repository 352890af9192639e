"""Step batching of mixed jobs, compared with one job at a time: tiny, and SD 1.5 in size."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import torch

from benchmarks.checkpoints import random_checkpoint
from benchmarks.harness import BenchmarkOptions, Figure, figure, in_turns
from stable_diffusion import tiny
from stable_diffusion.generate import generate
from stable_diffusion.load_model import load_model
from stable_diffusion.loader import Loader
from stable_diffusion.model import Model
from stable_diffusion.recipe import Recipe
from stable_diffusion.step_batching import StepBatcher
from stable_diffusion.weights.fingerprint import Fingerprints

_BASE = Recipe(prompt="a red circle on a blue background", width=256, height=256, steps=12)
JOBS = tuple(
    replace(_BASE, prompt=f"a {colour} {icon}", sampler=sampler, steps=steps, guidance_scale=scale)
    for colour, icon, sampler, steps, scale in (
        ("red", "cat", "ddim", 12, 7.5),
        ("blue", "star", "k_euler", 16, 5.0),
        ("green", "tree", "k_euler_a", 10, 7.5),
        ("pink", "heart", "k_dpmpp_2m", 14, 9.0),
        ("white", "house", "plms", 12, 7.5),
        ("yellow", "duck", "k_lms", 16, 6.0),
        ("orange", "ring", "k_dpmpp_2m_ka", 10, 7.5),
        ("brown", "guitar", "ddim", 14, 4.0),
    )
)


LARGE_JOBS = tuple(replace(job, steps=job.steps // 4) for job in JOBS[:4])
"""Fewer steps, for a model with steps that take a hundred times as long."""


def measure(options: BenchmarkOptions) -> Iterator[Figure]:
    """The seconds of all jobs together."""
    yield from _figures("8 mixed jobs, tiny", load_model(tiny.PATH, name="tiny"), JOBS, options)
    file = random_checkpoint(options.folder / "model.safetensors", 1)
    large = Loader("cpu", Fingerprints(None)).load("model", file)
    yield from _figures("4 mixed jobs, SD 1.5", large, LARGE_JOBS, options)


def _figures(
    name: str, model: Model, jobs: Sequence[Recipe], options: BenchmarkOptions
) -> Iterator[Figure]:
    cores = len(os.sched_getaffinity(0))
    shared = replace(model, step_batcher=StepBatcher(max_concurrent=cores))

    def one_at_a_time() -> None:
        torch.set_num_threads(cores)
        for job in jobs:
            list(generate(model, job))

    def concurrent() -> None:
        run_concurrently(model, jobs, max_concurrent=cores)

    def batched() -> None:
        run_concurrently(shared, jobs, max_concurrent=len(jobs))

    alone, one_a_core, together = in_turns(
        one_at_a_time, concurrent, batched, rounds=options.rounds
    )
    yield figure(f"{name}, shared evaluations", together, alone)
    yield figure(f"{name}, one a core", one_a_core, alone)


def run_concurrently(model: Model, jobs: Sequence[Recipe], max_concurrent: int) -> None:
    """Run all jobs, `max_concurrent` at a time, each with one thread."""
    torch.set_num_threads(1)
    with ThreadPoolExecutor(max_concurrent) as pool:
        list(pool.map(lambda job: list(generate(model, job)), jobs))
