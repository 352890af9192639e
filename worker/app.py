"""Composition root of a worker: `celery -A worker.app worker`, or `python -m worker`."""

from jobs.environment import read_settings
from jobs.malloc_options import keep_freed_memory
from worker.celery_app import worker_app
from worker.cores import KEPT_MIB, limit_openmp_spinning, max_concurrent, threads_per_slot
from worker.execution.engine import Engine
from worker.quick_imports import quick_imports
from worker.settings import WorkerSettings

settings = read_settings(WorkerSettings)


def build_engine() -> Engine:
    """The engine with real networks. Takes seconds, because it imports torch."""
    limit_openmp_spinning()
    keep_freed_memory(KEPT_MIB)
    with quick_imports():
        from worker.execution.diffusion_engine import (  # noqa: PLC0415 - imports torch
            StableDiffusion,
        )

    threads = settings.torch_threads or threads_per_slot(settings.slots)
    return StableDiffusion(
        settings.device,
        threads,
        settings.models_dir / "upscalers",
        settings.upscaler,
        cache=settings.cache_dir,
        weight_cache_bytes=settings.weight_cache_bytes,
        catalogue=settings.catalogue,
        max_concurrent=max_concurrent(settings.device, threads) if settings.step_batching else 0,
        graphs=settings.cuda_graphs,
        unet_vram_budget=settings.unet_vram_budget,
        workers=settings.workers,
    )


app = worker_app(settings, build_engine)
