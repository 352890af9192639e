"""A runner on a real Valkey and a real folder, with a small engine."""

import base64
import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from PIL import Image
from redis import Redis

from jobs.claims import Claims
from jobs.connection import connect
from jobs.file_cleanup import FileCleanup
from jobs.names import JobKind
from jobs.new_job import NewJob, new_job_id
from jobs.queue import make_celery, wake_worker
from jobs.record import JobRecords
from jobs.request import ImageToImage, parse_request
from jobs.settings import JobSettings
from jobs.status import JobStatus
from jobs.store import PictureStore
from jobs.workers import Workers
from tests.worker.small import SmallEngine
from worker.background.lease import LeaseKeeper
from worker.execution.engine import Engine, EngineRoom
from worker.execution.pen import Pen
from worker.execution.previewer import Previewer
from worker.execution.reporter import Reporter
from worker.execution.runner import Runner
from worker.execution.studio import Studio
from worker.models.catalogue import Catalogue
from worker.models.model_cache import ModelCache


@dataclass
class Bench:
    """Everything a runner stands on, and what tests ask of it."""

    redis: Redis
    celery: Celery
    records: JobRecords
    claims: Claims
    workers: Workers
    store: PictureStore
    file_cleanup: FileCleanup
    unwell: threading.Event
    outputs: Path
    models: Path

    def submit(
        self,
        kind: JobKind = "txt2img",
        model: str = "small",
        prompts: tuple[str, ...] = (),
        **body: Any,
    ) -> str:
        body = {"prompt": "a red cat", "type": "standard", "ddim_steps": 5, "H": 64, "W": 64} | body
        if kind == "img2img":
            body.setdefault("init_img", png(Image.new("RGB", (64, 64), "green")))
        request = parse_request(kind, body)
        seed = 7 if request.seed is None else request.seed
        job = NewJob(
            job_id=new_job_id(),
            request=request.settled(model=model, seed=seed),
            model=model,
            prompts=prompts,
        )
        if isinstance(request, ImageToImage):
            self.store.put_input(job.job_id, "init", request.init_img)
        self.records.open(job)
        return job.job_id

    def send(self, kind: JobKind = "txt2img", model: str = "small", **body: Any) -> str:
        """Submit a job and wake a worker, as the API does."""
        job_id = self.submit(kind, model, **body)
        assert wake_worker(self.celery, job_id, self.status(job_id).type)
        return job_id

    def ended(self, job_id: str) -> JobStatus:
        """The status of a job once it has ended."""
        until(lambda: self.status(job_id).state.final)
        return self.status(job_id)

    def status(self, job_id: str) -> JobStatus:
        return self.records.get(job_id)

    def files(self) -> list[str]:
        found = (path for path in self.outputs.rglob("*") if path.is_file())
        return sorted(str(path.relative_to(self.outputs)) for path in found)

    @contextmanager
    def runner(
        self,
        engine: Engine | None = None,
        catalogue: Catalogue | None = None,
        *,
        previews: bool = True,
    ) -> Iterator[Runner]:
        """A runner with its threads, for the length of a with block."""
        made = engine or SmallEngine()
        room = EngineRoom(lambda: made)
        keeper = LeaseKeeper(self.claims, renew_seconds=0.05)
        reporter = Reporter(self.claims)
        previewer = Previewer(self.claims) if previews else None
        catalogue = catalogue or Catalogue(self.models, "small")
        pen = Pen()
        studio = Studio(
            claims=self.claims,
            pen=pen,
            store=self.store,
            file_cleanup=self.file_cleanup,
            model_cache=ModelCache(catalogue, room),
            room=room,
            reporter=reporter,
            previewer=previewer,
        )
        runner = Runner(
            owner="test",
            claims=self.claims,
            pen=pen,
            file_cleanup=self.file_cleanup,
            studio=studio,
            keeper=keeper,
            unwell=self.unwell.set,
        )
        threads = [thread for thread in (keeper, reporter, previewer) if thread]
        for thread in threads:
            thread.start()
        try:
            yield runner
        finally:
            for thread in threads:
                thread.stop()

    def run(self, engine: Engine | None = None) -> None:
        """Run the next standard job to its end."""
        with self.runner(engine) as runner:
            runner.run_next("standard")


def bench_on(redis_url: str, folder: Path) -> Bench:
    """A bench on a Redis, with models and pictures in a folder."""
    redis = connect(redis_url)
    models = folder / "models"
    models.mkdir()
    (models / "small.safetensors").touch()
    store = PictureStore(str(folder / "outputs"))
    return Bench(
        redis=redis,
        celery=make_celery(JobSettings(celery_broker_url=redis_url), publisher=True),
        records=JobRecords(redis, result_ttl_seconds=600),
        claims=Claims(redis, lease_seconds=60, max_attempts=3, result_ttl_seconds=600),
        workers=Workers(redis),
        store=store,
        file_cleanup=FileCleanup(redis, store),
        unwell=threading.Event(),
        outputs=folder / "outputs",
        models=models,
    )


@pytest.fixture
def bench(redis_url: str, tmp_path: Path) -> Bench:
    return bench_on(redis_url, tmp_path)


def png(image: Image.Image) -> str:
    data = io.BytesIO()
    image.save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()


def until(happened: Callable[[], object], seconds: float = 240) -> None:
    """Wait until something is so; fail when it does not become so in time."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
