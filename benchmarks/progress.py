"""What it costs a job that its progress is told and its previews are drawn: sampling alone.

In one process, turn by turn, with the worker's own threads and real records.
"""

from collections.abc import Iterator
from functools import partial

import torch
from PIL.Image import Image
from redis import Redis

from benchmarks.harness import Figure, Workshop, figure
from benchmarks.rig import running_valkey
from jobs.claims import Claims
from jobs.connection import connect
from jobs.new_job import NewJob, new_job_id
from jobs.record import JobRecords
from jobs.request import parse_request
from stable_diffusion import tiny
from stable_diffusion.generate import Evaluation, generate
from stable_diffusion.model import load_model
from stable_diffusion.preview import LatentPreview
from stable_diffusion.recipe import Recipe
from stable_diffusion.stopwatch import Stopwatch
from worker.execution.active_job import ActiveJob
from worker.execution.previewer import Previewer
from worker.execution.progress_meter import ProgressMeter
from worker.execution.reporter import Reporter

RECIPE = Recipe(prompt="a red circle", width=256, height=256, steps=30, iterations=2)
_JOBS_A_ROUND = 3


def measure(workshop: Workshop) -> Iterator[Figure]:
    """The seconds of sampling, told and untold."""
    torch.set_num_threads(1)
    with running_valkey(workshop.folder) as url:
        told, untold = _Told(connect(url)), _Untold()
        told.sampled()
        seconds: tuple[list[float], list[float]] = ([], [])
        for _ in range(workshop.rounds * _JOBS_A_ROUND):
            for arm, taken in zip((told, untold), seconds, strict=True):
                taken.append(arm.sampled())
        told.stop()
    yield figure("sampling with progress and previews; without", *seconds)


class _Untold:
    """Jobs that nobody sees."""

    def __init__(self) -> None:
        self.model = load_model(tiny.PATH, name="tiny")

    def sampled(self) -> float:
        """The seconds of one job's sampling."""
        watch = Stopwatch()
        list(generate(self.model, RECIPE, self.on_evaluation, watch))
        return watch.seconds["sample"]

    def on_evaluation(self, evaluation: Evaluation) -> None:
        """Nothing."""


class _Told(_Untold):
    """Jobs as a worker draws them."""

    def __init__(self, redis: Redis) -> None:
        super().__init__()
        self._records = JobRecords(redis, result_ttl_seconds=600)
        self._claims = Claims(redis, lease_seconds=600, max_attempts=1, result_ttl_seconds=600)
        self._reporter, self._previewer = Reporter(self._claims), Previewer(self._claims)
        self._latent_preview = LatentPreview()
        for ticker in (self._reporter, self._previewer):
            ticker.start()

    def sampled(self) -> float:
        request = parse_request("txt2img", {"prompt": RECIPE.prompt, "type": "standard"})
        settled = request.settled(model="tiny", seed=1)
        self._records.open(NewJob(job_id=new_job_id(), request=settled, model="tiny", prompts=()))
        claim = self._claims.claim("standard", "benchmark")
        assert claim
        self._running = ActiveJob(claim)
        self._meter = ProgressMeter(RECIPE.batch_size, RECIPE.images)
        seconds = super().sampled()
        self._reporter.discard(self._running)
        self._previewer.discard(self._running)
        return seconds

    def on_evaluation(self, evaluation: Evaluation) -> None:
        self._running.check()
        progress = self._meter.read(evaluation)
        self._reporter.report(self._running, progress)
        self._previewer.offer(self._running, progress, partial(self._preview, evaluation))

    def _preview(self, evaluation: Evaluation) -> Image:
        return self._latent_preview.of(self.model)(evaluation.denoised()[0])

    def stop(self) -> None:
        """Stop the threads."""
        self._reporter.stop()
        self._previewer.stop()
