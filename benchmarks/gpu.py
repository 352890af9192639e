"""On a GPU: time and memory of one job and of many, full size, compared with diffusers.

Without a GPU this measures nothing, unless it is a rehearsal: then all of it runs once, on the CPU
with the tiny model, to find errors before somebody's GPU does.
"""

import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import torch

from benchmarks import gpu_kernels, gpu_peers, gpu_service
from benchmarks.batching import JOBS, run_concurrently
from benchmarks.gpu_subject import Subject, subject_of
from benchmarks.harness import BenchmarkOptions, Figure, figure, in_turns
from benchmarks.memory import GIGABYTE
from stable_diffusion.generate import generate
from stable_diffusion.model import Model
from stable_diffusion.recipe import Recipe

BUDGET = 800_000_000


def measure(options: BenchmarkOptions) -> Iterator[Figure]:
    """The figures of the first GPU; none without a GPU. One that fails says why.

    Raises:
        RuntimeError: some failed; it names them.
    """
    if not (torch.cuda.is_available() or options.rehearsal):
        return
    subject = subject_of(options)
    model = subject.load()
    failed: list[str] = []
    groups: dict[str, Callable[[], Iterator[Figure]]] = {
        "one job": partial(_one_job, subject, model),
        "many jobs": partial(_many_jobs, subject, model),
        "offloading": partial(_offloading, subject, model),
        "threads": partial(_threads, subject, model),
        "kernels": partial(gpu_kernels.measure, subject, model),
        "service": partial(gpu_service.measure, subject),
        "compiled peer": partial(gpu_peers.compiled, subject, model),
        "SDXL": partial(gpu_peers.sdxl, subject),
    }
    for name, group in groups.items():
        try:
            yield from group()
        except Exception:  # noqa: BLE001 - it says nothing of the others
            traceback.print_exc()
            failed.append(name)
    if failed:
        raise RuntimeError(f"failed: {', '.join(failed)}")


def _one_job(subject: Subject, model: Model) -> Iterator[Figure]:
    alone = replace(model, step_batcher=None)
    peer = gpu_peers.pipeline(subject.family, subject.device)
    arms = [
        partial(_generate, alone, subject.recipe),
        partial(_generate, replace(alone, graphs=None), subject.recipe),
        partial(gpu_peers.generate, peer, subject.recipe),
    ]
    for arm in arms:
        arm()  # selects kernels, and records
    recorded, without, theirs = in_turns(*arms, rounds=subject.rounds)
    yield figure(f"{subject.job}; diffusers float16, eager (aim 2.2)", recorded, theirs)
    yield figure(f"{subject.job}, recorded; layer by layer", recorded, without)


def _many_jobs(subject: Subject, model: Model) -> Iterator[Figure]:
    side, share = subject.recipe.width, subject.recipe.steps / 25
    chosen = JOBS[:2] if subject.rehearsal else JOBS
    jobs = [
        replace(job, width=side, height=side, steps=max(2, int(share * job.steps)))
        for job in chosen
    ]

    def together() -> None:
        run_concurrently(model, jobs, len(jobs))

    def one_at_a_time() -> None:
        run_concurrently(replace(model, step_batcher=None), jobs, 1)

    together()
    ours, peer = in_turns(together, one_at_a_time, rounds=subject.rounds)
    yield figure(f"{len(jobs)} mixed jobs, shared evaluations; one at a time (aim 3)", ours, peer)


def _offloading(subject: Subject, model: Model) -> Iterator[Figure]:
    optimized = replace(subject.recipe, memory_plan="optimized")
    in_budget = "UNET_VRAM_BUDGET=800MB"
    whole = subject.load(offloaded=True)
    streamed = subject.load(offloaded=True, max_unet_bytes=BUDGET)
    arms = {
        "optimized (aim 2 GB at 0.91)": (whole, optimized),
        "optimized, turbo": (whole, replace(optimized, turbo=True)),
        f"optimized, {in_budget} (aim 1.2 GB at 0.77)": (streamed, optimized),
        f"optimized, {in_budget}, unet_bs 1": (streamed, replace(optimized, unet_batch=1)),
        "precision full": (whole, replace(subject.recipe, precision="full")),
    }
    for name, (offloaded, recipe) in arms.items():
        yield figure(f"peak memory of the GPU, {name}", [_peak(offloaded, recipe)], unit="GB")
    calls = [partial(_generate, *arm) for arm in arms.values()]
    standard, *others = in_turns(
        partial(_generate, model, subject.recipe), *calls, rounds=subject.rounds
    )
    for name, taken in zip(arms, others, strict=True):
        yield figure(f"a job, {name}; standard", taken, standard)
    yield figure("peak memory of the GPU, standard", [_peak(model, subject.recipe)], unit="GB")


def _threads(subject: Subject, model: Model) -> Iterator[Figure]:
    """Whether a job pays for a thread of its own, as every job of a worker may have."""
    plain = replace(model, graphs=None)
    loose = replace(plain, device_thread=None)
    short = replace(subject.recipe, steps=2)

    def in_new_thread(one: Model) -> None:
        run_concurrently(one, [short], 1)

    in_new_thread(plain)
    ours, theirs = in_turns(
        partial(in_new_thread, plain), partial(in_new_thread, loose), rounds=subject.rounds
    )
    yield figure("2 steps in a new thread, one thread a GPU; the job's own", ours, theirs)


def _peak(model: Model, recipe: Recipe) -> float:
    """Gigabytes that a job adds to what the process has allocated, and its resident weights."""
    if model.device.type != "cuda":
        _generate(model, recipe)
        return 0.0
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    resident = model.nbytes if model.networks.unet.device == model.device else 0
    _generate(model, recipe)
    return (torch.cuda.max_memory_allocated() - before + resident) / GIGABYTE


def _generate(model: Model, recipe: Recipe) -> None:
    list(generate(model, recipe))
