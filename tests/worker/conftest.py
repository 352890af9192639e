"""Execution of jobs on a real Valkey and a real folder, with a small engine."""

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

from jobs.connection import connect
from jobs.names import GenerationKind
from jobs.pictures.store import PictureStore
from jobs.queue import make_celery, wake_worker
from jobs.records.claims import Claims
from jobs.records.file_cleanup import FileCleanup
from jobs.records.new_job import NewJob, new_job_id
from jobs.records.record import JobRecords
from jobs.settings import JobSettings
from jobs.status import JobStatus
from jobs.validation.request import parse_request
from jobs.worker_facts import WorkerFacts
from jobs.workers import Workers
from tests.worker.small import HURRY, SmallEngine
from worker.background.lease import LeaseKeeper
from worker.execution.engine import Engine, EngineProvider
from worker.execution.execute_job import execute_job
from worker.execution.execution_context import ExecutionContext
from worker.execution.previewer import Previewer
from worker.execution.reporter import Reporter
from worker.models.catalogue import Catalogue
from worker.models.model_cache import ModelCache


@dataclass
class Bench:
    """Records, queue, store and folders of one test, and helpers for jobs."""

    redis: Redis
    celery: Celery
    records: JobRecords
    claims: Claims
    workers: Workers
    store: PictureStore
    file_cleanup: FileCleanup
    device_failed: threading.Event
    outputs: Path
    models: Path
    loaded: ModelCache | None = None
    """The models of a module's tests, which it loads once; None: each context has its own."""

    def submit(
        self,
        kind: GenerationKind = "txt2img",
        model: str = "small",
        prompts: tuple[str, ...] = (),
        negative_prompts: tuple[str, ...] = (),
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
            negative_prompts=negative_prompts,
        )
        for role, data in request.inputs.items():
            self.store.put_input(job.job_id, role, data)
        self.records.open(job)
        return job.job_id

    def send(self, kind: GenerationKind = "txt2img", model: str = "small", **body: Any) -> str:
        """Submit a job and send its message, as the API does."""
        job_id = self.submit(kind, model, **body)
        assert wake_worker(self.celery, job_id, self.status(job_id).type)
        return job_id

    def ended(self, job_id: str) -> JobStatus:
        """Wait for the end of a job, and return its status."""
        until(lambda: self.status(job_id).state.final)
        return self.status(job_id)

    def hurry(self) -> None:
        """Let evaluations take no time in worker processes from now on.

        So a job of many steps runs for as long as a test looks at it, and then ends.
        """
        (self.outputs.parent / HURRY).touch()

    def only_worker(self) -> WorkerFacts:
        """What the only worker announces; on a busy machine an announcement may be late."""
        found: list[WorkerFacts] = []

        def announced() -> bool:
            found[:] = self.workers.alive()
            return len(found) == 1

        until(announced)
        return found[0]

    def status(self, job_id: str) -> JobStatus:
        return self.records.get(job_id)

    def files(self, *, probes: bool = False) -> list[str]:
        """The names of all files in the store.

        Args:
            probes: also those of probes, which a killed worker may leave to the sweeper.
        """
        found = (path for path in self.outputs.rglob("*") if path.is_file())
        names = sorted(str(path.relative_to(self.outputs)) for path in found)
        return [name for name in names if probes or not name.startswith(".parts/probe.")]

    @contextmanager
    def context(
        self,
        engine: Engine | None = None,
        catalogue: Catalogue | None = None,
        *,
        previews: bool = True,
    ) -> Iterator[ExecutionContext]:
        """What `execute_job` needs, with its threads running, for the length of a with block."""
        built = engine or SmallEngine()
        provider = EngineProvider(lambda: built)
        context = ExecutionContext(
            worker_id="test",
            claims=self.claims,
            store=self.store,
            file_cleanup=self.file_cleanup,
            model_cache=self.loaded
            or ModelCache(catalogue or Catalogue(self.models, "small"), provider),
            engine=provider,
            leases=LeaseKeeper(self.claims, renew_seconds=0.05),
            reporter=Reporter(self.claims),
            previewer=Previewer(self.claims) if previews else None,
            on_device_failure=self.device_failed.set,
        )
        threads = [t for t in (context.leases, context.reporter, context.previewer) if t]
        for thread in threads:
            thread.start()
        try:
            yield context
        finally:
            for thread in threads:
                thread.stop()

    def run(self, engine: Engine | None = None, jobs: int = 1) -> None:
        """Execute the next standard jobs to their ends."""
        with self.context(engine) as context:
            for _ in range(jobs):
                execute_job(context, "standard")


def bench_on(redis_url: str, folder: Path) -> Bench:
    """A bench on a Redis, with models and images in a folder."""
    redis = connect(redis_url, timeout=60)  # a test fails by what it asserts, not by a busy disk
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
        device_failed=threading.Event(),
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


def until(condition: Callable[[], object], seconds: float = 240) -> None:
    """Wait until a condition holds; fail when it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not hold in time"
        time.sleep(0.05)
