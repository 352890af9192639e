"""An API on a real Valkey and a real folder, and a worker that is moved by hand."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from redis import Redis

from api import create_app
from api.auth import DUMMY_KEY
from api.settings import ApiSettings
from jobs import keys
from jobs.connection import connect
from jobs.limits import NATIVE_SIZE
from jobs.names import JobType
from jobs.pictures.output_formats import PictureFormat, encode
from jobs.pictures.store import PictureStore
from jobs.records.claim import Claim
from jobs.records.claims import Claims
from jobs.records.record import JobRecords
from jobs.settings import JobSettings
from jobs.status import Failure, Progress, Result, StoredPicture
from jobs.validation.request import Request
from jobs.validation.stored_request import read_stored
from jobs.worker_facts import ModelFacts, WorkerFacts
from jobs.workers import Workers

COLOURS = ("red", "green", "blue", "white")


@pytest.fixture
def settings(redis_url: str, tmp_path: Path) -> ApiSettings:
    return ApiSettings(
        celery_broker_url=redis_url,
        celery_result_backend=redis_url,
        data_dir=tmp_path,
        models_dir=tmp_path / "models",
        outputs=str(tmp_path / "outputs"),
        api_keys=(DUMMY_KEY, "ключ"),
        max_body_mib=1,
        sync_timeout=120,
        default_model="tiny",
    )


@pytest.fixture
def app(settings: ApiSettings) -> Flask:
    return create_app(settings)


@pytest.fixture
def client(app: Flask) -> Iterator[FlaskClient]:
    with app.test_client() as client:
        yield client


@dataclass
class HandWorker:
    """Announces itself, claims and finishes jobs by the real records, and paints one colour each.

    What a worker does between claim and end is not the API's business.
    """

    redis: Redis
    claims: Claims
    workers: Workers
    store: PictureStore

    @classmethod
    def on(cls, settings: JobSettings) -> Self:
        redis = connect(settings.celery_result_backend)
        claims = Claims(redis, lease_seconds=60, max_attempts=3, result_ttl_seconds=600)
        return cls(redis, claims, Workers(redis), PictureStore(settings.outputs))

    @classmethod
    def present(cls, settings: JobSettings) -> Self:
        """One that has announced itself, and that finds no job of an earlier test."""
        by_hand = cls.on(settings)
        by_hand.announce("optimized")
        while by_hand.claims.claim("optimized", "sweeper"):
            pass
        return by_hand

    def announce(
        self, *types: JobType, ttl_seconds: float = 600, native_size: int = NATIVE_SIZE
    ) -> None:
        facts = WorkerFacts(
            worker_id="by-hand",
            types=types,
            models=("tiny",),
            model_facts=(ModelFacts(name="tiny", native_size=native_size),),
            default_model="tiny",
            device="cpu",
            slots=1,
        )
        self.workers.announce(facts, ttl_seconds=ttl_seconds)

    def queued(self, job_type: JobType = "optimized") -> int:
        """How many jobs of a type wait."""
        return JobRecords(self.redis, result_ttl_seconds=600).waiting(job_type)

    def waiting(self, job_type: JobType = "optimized") -> set[str]:
        """The ids of the jobs of a type that wait."""
        places = cast("list[str]", self.redis.zrange(keys.queue(job_type), 0, -1))
        return {keys.job_of(place) for place in places}

    def claim(self, job_type: JobType = "optimized") -> tuple[Claim, Request]:
        """The next job of a type, waiting for one to come."""
        deadline = time.monotonic() + 120
        while (claim := self.claims.claim(job_type, "by-hand")) is None:
            assert time.monotonic() < deadline, "no job came"
            time.sleep(0.02)
        return claim, self.request_of(claim)

    def request_of(self, claim: Claim) -> Request:
        """What a claimed job asks for."""
        return cast("Request", read_stored(claim.kind, json.loads(claim.stored_request)))

    def report(self, claim: Claim, step: int, steps: int) -> None:
        progress = Progress(step=step, steps=steps, fraction=step / steps, eta_seconds=1.5)
        self.claims.report(claim, progress)

    def finish(self, claim: Claim, request: Request) -> None:
        """Store one plain picture an image, and a grid if one was asked for, and end the job."""
        size, extension = request.output_size or (request.W, request.H), request.format
        with self.store.staging(claim.job_id, request.outdir, claim.token) as staging:
            pictures = tuple(
                StoredPicture(
                    name=staging.put(index, painted(size, COLOURS[index], extension), extension),
                    width=size[0],
                    height=size[1],
                    index=index,
                    seed=(request.seed or 0) + index,
                )
                for index in range(request.image_count)
            )
            grid = None
            if not request.skip_grid:
                wide = (size[0] * request.image_count, size[1])
                name = staging.put("grid", painted(wide, "black", extension), extension)
                grid = StoredPicture(name=name, width=wide[0], height=wide[1])
            self.claims.publishing(claim, staging.names, size=staging.size, saved=True)
            staging.publish()
        result = Result(
            images=pictures,
            grid=grid,
            format=extension,
            model="tiny",
            model_hash="0123456789",
            sampler=request.sampler,
            steps=request.ddim_steps,
            executed_steps=request.ddim_steps,
            prompt={},
            timings={"sample": 0.1},
        )
        self.claims.finish(claim, result)

    def draw(self, job_type: JobType = "optimized") -> None:
        """The next waiting job, from claim to end."""
        self.finish(*self.claim(job_type))

    def fail(self, message: str, code: str = "out_of_memory") -> None:
        claim, _ = self.claim()
        self.claims.fail(claim, Failure(code=code, message=message))


def announce(worker: HandWorker, worker_id: str, *models: ModelFacts, **more: Any) -> None:
    """Announce a worker that has these models, of which the default is `tiny`."""
    facts = WorkerFacts(
        worker_id=worker_id,
        types=("optimized",),
        models=tuple(model.name for model in models),
        default_model="tiny",
        device="cpu",
        slots=1,
        model_facts=models,
        **more,
    )
    worker.workers.announce(facts, ttl_seconds=600)


@pytest.fixture
def worker(settings: ApiSettings) -> HandWorker:
    by_hand = HandWorker.on(settings)
    by_hand.announce("optimized")
    return by_hand


def painted(size: tuple[int, int], colour: str, extension: PictureFormat) -> bytes:
    """An encoded picture of one colour."""
    return encode(Image.new("RGB", size, colour), extension, "")
