"""GET /healthz and /readyz: whether this process answers, and what works.

The whole service can lose its workers, or the room in Redis or in the store, while every API can
still report jobs and serve pictures. `for` therefore says what has to work for a 200, so that a
load balancer does not turn away from all APIs because no job can be drawn.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal, get_args

import structlog
from flask import Blueprint, abort, request
from flask.typing import ResponseReturnValue
from redis import RedisError

from api.backends import Backends
from api.health_models import Alive, Readiness
from api.operations import ApiResponse, Operation, Parameter
from jobs.errors import RecordsUnavailable, StoreError
from jobs.worker_facts import WorkerFacts

log = structlog.get_logger(__name__)

PROBE = "sdapi:ready"
Purpose = Literal["status", "requests", "jobs"]
PURPOSES = get_args(Purpose)
"""From the least to the most: what fails for one fails for those after it."""
FOR = Parameter(
    name="for",
    where="query",
    description="what has to work: `status`: jobs can be reported; `requests`: and new ones can "
    "be stored; `jobs`: and would be drawn",
    schema={"type": "string", "enum": list(PURPOSES), "default": "requests"},
)


@dataclass(frozen=True)
class Problem:
    """Something that does not work: its name in `missing`, a sentence, and whom it stops first."""

    name: str
    sentence: str
    stops: Purpose


def health_routes(backends: Backends, default_model: str) -> Blueprint:
    """The routes for orchestrators and monitors. They need no key."""
    routes = Blueprint("health", __name__)

    @routes.get("/healthz")
    @Operation(responses={200: ApiResponse(description="the process answers", body=Alive)})
    def healthz() -> ResponseReturnValue:
        """The process answers; nothing else is checked."""
        return {"status": "ok"}

    @routes.get("/readyz")
    @Operation(
        responses={
            200: ApiResponse(description="what `for` asks for works", body=Readiness),
            503: ApiResponse(description="it does not work", body=Readiness),
        },
        errors=(400,),
        parameters=(FOR,),
    )
    def readyz() -> ResponseReturnValue:
        """What works now. Lists every problem, also those that do not make this a 503."""
        purpose = request.args.get("for", "requests")
        if purpose not in PURPOSES:
            abort(HTTPStatus.BAD_REQUEST, f"for: {purpose!r} is none of {', '.join(PURPOSES)}")
        workers: tuple[WorkerFacts, ...] = ()
        problems = [*_problems_of_store(backends)]
        try:
            workers = backends.workers.alive()
            problems += _problems_of_records(backends)
            problems += _problems_of_workers(backends, workers)
        except RecordsUnavailable as error:
            log.warning("not ready", reason=str(error))
            problems.append(Problem("records", "the job records cannot be read", "status"))
        asked = PURPOSES.index(purpose)
        ready = all(PURPOSES.index(problem.stops) > asked for problem in problems)
        answer = Readiness(
            status="ready" if ready else "not ready",
            problem="; ".join(problem.sentence for problem in problems),
            missing=[problem.name for problem in problems],
            workers=len(workers),
            types=sorted({job_type for worker in workers for job_type in worker.types}),
            models=sorted({model for worker in workers for model in worker.models}),
            default_model=default_model,
            default_model_installed=any(default_model in worker.models for worker in workers),
        )
        return answer.model_dump(), HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE

    return routes


def _problems_of_records(backends: Backends) -> Iterator[Problem]:
    """Redis with a full disk or memory can be read, but not written."""
    try:
        backends.redis.set(PROBE, "1", ex=60)
    except RedisError as error:
        log.warning("not ready", reason=str(error))
        yield Problem("records", "the job records cannot be written", "requests")


def _problems_of_store(backends: Backends) -> Iterator[Problem]:
    try:
        backends.store.probe()
    except StoreError as error:
        log.warning("not ready", reason=str(error))
        yield Problem("store", "the picture store cannot be used", "requests")


def _problems_of_workers(backends: Backends, workers: tuple[WorkerFacts, ...]) -> Iterator[Problem]:
    if not workers:
        yield Problem("workers", "no worker is alive", "jobs")
    elif all(worker.problem for worker in workers):
        yield Problem("workers:store", "no worker can store pictures", "jobs")
    for job_type in backends.workers.missing_types():
        yield Problem(f"workers:{job_type}", f"no worker serves {job_type} any more", "jobs")
