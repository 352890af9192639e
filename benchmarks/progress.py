"""The cost of progress reports and previews for the sampling of a job.

Measured in one process, alternating, with the worker's threads and real records.
"""

from collections.abc import Iterator
from functools import partial

import torch
from PIL.Image import Image
from redis import Redis

from benchmarks.fixtures import running_valkey
from benchmarks.harness import BenchmarkOptions, Figure, figure
from jobs.connection import connect
from jobs.records.claims import Claims
from jobs.records.new_job import NewJob, new_job_id
from jobs.records.record import JobRecords
from jobs.validation.request import parse_request
from stable_diffusion import tiny
from stable_diffusion.generate import Evaluation, generate
from stable_diffusion.load_model import load_model
from stable_diffusion.preview import LatentPreview
from stable_diffusion.recipe import Recipe
from stable_diffusion.stopwatch import Stopwatch
from worker.execution.active_job import ActiveJob
from worker.execution.previewer import Previewer
from worker.execution.progress_meter import ProgressMeter
from worker.execution.reporter import Reporter

RECIPE = Recipe(prompt="a red circle", width=256, height=256, steps=30, iterations=2)
_JOBS_A_ROUND = 3


def measure(options: BenchmarkOptions) -> Iterator[Figure]:
    """The seconds of sampling, with and without reporting."""
    torch.set_num_threads(1)
    with running_valkey(options.folder) as url:
        reporting, silent = _WithReporting(connect(url)), _WithoutReporting()
        reporting.sample()
        seconds: tuple[list[float], list[float]] = ([], [])
        for _ in range(options.rounds * _JOBS_A_ROUND):
            for arm, taken in zip((reporting, silent), seconds, strict=True):
                taken.append(arm.sample())
        reporting.stop()
    yield figure("sampling with progress and previews; without", *seconds)


class _WithoutReporting:
    """Jobs without progress reports and previews."""

    def __init__(self) -> None:
        self.model = load_model(tiny.PATH, name="tiny")

    def sample(self) -> float:
        """Run one job; returns the seconds of its sampling."""
        stopwatch = Stopwatch()
        list(generate(self.model, RECIPE, self.on_evaluation, stopwatch))
        return stopwatch.seconds["sample"]

    def on_evaluation(self, evaluation: Evaluation) -> None:
        """Called after each evaluation; does nothing."""


class _WithReporting(_WithoutReporting):
    """Jobs as a worker runs them."""

    def __init__(self, redis: Redis) -> None:
        super().__init__()
        self._records = JobRecords(redis, result_ttl_seconds=600)
        self._claims = Claims(redis, lease_seconds=600, max_attempts=1, result_ttl_seconds=600)
        self._reporter, self._previewer = Reporter(self._claims), Previewer(self._claims)
        self._latent_preview = LatentPreview()
        for thread in (self._reporter, self._previewer):
            thread.start()

    def sample(self) -> float:
        request = parse_request("txt2img", {"prompt": RECIPE.prompt, "type": "standard"})
        settled = request.settled(model="tiny", seed=1)
        self._records.open(NewJob(job_id=new_job_id(), request=settled, model="tiny", prompts=()))
        claim = self._claims.claim("standard", "benchmark")
        assert claim
        self._running = ActiveJob(claim)
        self._meter = ProgressMeter(RECIPE.batch_size, RECIPE.images)
        seconds = super().sample()
        self._reporter.discard(self._running)
        self._previewer.discard(self._running)
        return seconds

    def on_evaluation(self, evaluation: Evaluation) -> None:
        self._running.check()
        progress = self._meter.read(evaluation)
        self._reporter.report(self._running, progress)
        self._previewer.offer(self._running, progress, partial(self._preview, evaluation))

    def _preview(self, evaluation: Evaluation) -> Image:
        return self._latent_preview.image(self.model, evaluation.denoised()[0])

    def stop(self) -> None:
        """Stop the threads."""
        self._reporter.stop()
        self._previewer.stop()
