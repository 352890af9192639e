"""GET /workers and /metrics: what the workers are doing, for people and for Prometheus.

Neither needs a key, so neither shows a job's id: the id gives access to the job's pictures.
"""

import time
from collections.abc import Iterator

from flask import Blueprint, Response
from flask.typing import ResponseReturnValue

from api.backends import Backends
from api.health_models import RunningJob, Worker, WorkerList
from api.metrics import CONTENT_TYPE, exposition
from api.operations import ApiResponse, Operation
from jobs.errors import JobsError, RecordsUnavailable
from jobs.status import JobState, JobStatus
from jobs.workers import AnnouncedWorker


def worker_routes(backends: Backends) -> Blueprint:
    """The routes for monitoring."""
    routes = Blueprint("workers", __name__)

    @routes.get("/workers")
    @Operation(
        responses={200: ApiResponse(description="every live worker", body=WorkerList)},
        errors=(503,),
    )
    def workers() -> ResponseReturnValue:
        """Each live worker's heartbeat, types, models, jobs and memory."""
        now = time.time()
        return WorkerList(
            workers=[
                _described(worker, [_running(job, now) for job in _jobs_of(backends, worker)])
                for worker in backends.workers.announced()
            ]
        ).model_dump()

    @routes.get("/metrics")
    @Operation(
        responses={200: ApiResponse(description="Prometheus' text format", media=("text/plain",))},
    )
    def metrics() -> Response:
        """Jobs by type and state, and workers, for Prometheus."""
        return Response(exposition(backends.redis), content_type=CONTENT_TYPE)

    return routes


def _jobs_of(backends: Backends, worker: AnnouncedWorker) -> Iterator[JobStatus]:
    """The jobs of its last heartbeat that still run."""
    for job_id in worker.facts.jobs:
        try:
            status = backends.records.get(job_id)
        except RecordsUnavailable:
            raise
        except JobsError:  # ended and deleted meanwhile
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
        problem=facts.problem,
        oldest_progress_seconds=round(facts.oldest_progress_seconds, 3),
        memory_bytes=facts.memory_bytes,
        gpu_memory_bytes=facts.gpu_memory_bytes,
    )
