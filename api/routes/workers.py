"""GET /workers and /metrics: what the workers are doing, for people and for Prometheus.

Neither needs a key, so neither names a job: whoever knows a job's id sees its pictures.
"""

import time
from collections.abc import Iterator

from flask import Blueprint, Response
from flask.typing import ResponseReturnValue

from api.desk import Desk
from api.health_answers import RunningJob, Worker, WorkerList
from api.metrics import CONTENT_TYPE, exposition
from api.operations import Answer, Operation
from jobs.errors import JobsError, RecordsUnavailable
from jobs.status import JobState, JobStatus
from jobs.workers import AnnouncedWorker


def worker_routes(desk: Desk) -> Blueprint:
    """The routes that tell of the workers."""
    routes = Blueprint("workers", __name__)

    @routes.get("/workers")
    @Operation(
        answers={200: Answer(means="every worker that is alive", body=WorkerList)}, errors=(503,)
    )
    def workers() -> ResponseReturnValue:
        """Each worker's heartbeat, types, models, jobs and memory."""
        now = time.time()
        heard = desk.workers.announced()
        told = [
            _described(worker, [_running(job, now) for job in _jobs_of(desk, worker)])
            for worker in heard
        ]
        return WorkerList(workers=told).model_dump()

    @routes.get("/metrics")
    @Operation(
        answers={200: Answer(means="in Prometheus' text format", media=("text/plain",))},
    )
    def metrics() -> ResponseReturnValue:
        """Jobs by type and state, and workers, for Prometheus."""
        return Response(exposition(desk), content_type=CONTENT_TYPE)

    return routes


def _jobs_of(desk: Desk, worker: AnnouncedWorker) -> Iterator[JobStatus]:
    """What it ran when it was last heard of, and has not ended since."""
    for job_id in worker.facts.jobs:
        try:
            status = desk.records.get(job_id)
        except RecordsUnavailable:
            raise
        except JobsError:  # ended and forgotten meanwhile
            continue
        if status.state in (JobState.LOADING, JobState.PROGRESS):
            yield status


def _running(job: JobStatus, now: float) -> RunningJob:
    return RunningJob(
        kind=job.kind,
        active_model=job.model,
        State=job.state,
        Progress=job.fraction,
        running_seconds=max(0.0, round(now - (job.started or now), 3)),
        attempts=job.attempts,
    )


def _described(worker: AnnouncedWorker, jobs: list[RunningJob]) -> Worker:
    facts = worker.facts
    return Worker(
        worker=facts.worker_id,
        heard_seconds_ago=round(worker.seconds_ago, 3),
        types=list(facts.types),
        models=list(facts.models),
        loaded=list(facts.loaded),
        device=facts.device,
        slots=facts.slots,
        busy=facts.busy,
        jobs=jobs,
        memory_bytes=facts.memory_bytes,
        gpu_memory_bytes=facts.gpu_memory_bytes,
    )
