"""Composition root of a worker: `celery -A worker.app worker`, or `python -m worker`."""

from jobs.environment import read_settings
from worker.celery_app import worker_app
from worker.cores import max_concurrent, sleep_soon, threads_a_slot
from worker.execution.engine import Engine
from worker.settings import WorkerSettings

settings = read_settings(WorkerSettings)


def make_engine() -> Engine:
    """The real engine. Takes the seconds that importing torch takes."""
    sleep_soon()
    from worker.execution.diffusion import StableDiffusion  # noqa: PLC0415 - only a worker at work pays

    threads = settings.torch_threads or threads_a_slot(settings.slots)
    return StableDiffusion(
        settings.device,
        threads,
        settings.models_dir / "upscalers",
        settings.upscaler,
        cache=settings.cache_dir,
        copies_size=settings.weight_cache_bytes,
        catalogue=settings.catalogue,
        max_concurrent=max_concurrent(settings.device, threads) if settings.step_batching else 0,
        graphs=settings.cuda_graphs,
        optimized_weights=settings.unet_vram_budget,
    )


app = worker_app(settings, make_engine)
