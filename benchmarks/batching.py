"""Eight mixed jobs with the tiny model: sharing evaluations, beside one at a time."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import torch

from benchmarks.harness import Figure, Workshop, figure, in_turns
from stable_diffusion import tiny
from stable_diffusion.batching import Company
from stable_diffusion.generate import generate
from stable_diffusion.model import Model, load_model
from stable_diffusion.recipe import Recipe

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


def measure(workshop: Workshop) -> Iterator[Figure]:
    """Throughput of the whole: the seconds of all eight."""
    model = load_model(tiny.PATH, name="tiny")
    cores = len(os.sched_getaffinity(0))
    shared = replace(model, company=Company(lanes=cores))

    def one_at_a_time() -> None:
        torch.set_num_threads(cores)
        for job in JOBS:
            list(generate(model, job))

    def side_by_side() -> None:
        _all(model, at_once=cores)

    def in_company() -> None:
        _all(shared, at_once=len(JOBS))

    alone, beside, together = in_turns(
        one_at_a_time, side_by_side, in_company, rounds=workshop.rounds
    )
    yield figure("8 mixed jobs, tiny, shared evaluations", together, alone)
    yield figure("8 mixed jobs, tiny, one a core", beside, alone)


def _all(model: Model, at_once: int) -> None:
    torch.set_num_threads(1)
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(lambda job: list(generate(model, job)), JOBS))
