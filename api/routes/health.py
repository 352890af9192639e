"""GET /healthz and /readyz: whether this process lives, and whether a job would be drawn."""

from http import HTTPStatus

import structlog
from flask import Blueprint
from flask.typing import ResponseReturnValue
from redis import RedisError

from api.desk import Desk
from api.health_answers import Alive, NotReady, Ready
from api.operations import Answer, Operation
from jobs.errors import RecordsUnavailable, StoreError
from jobs.workers import WorkerFacts

log = structlog.get_logger(__name__)

PROBE = "sdapi:ready"


def health_routes(desk: Desk) -> Blueprint:
    """The routes for whoever watches over the service."""
    routes = Blueprint("health", __name__)

    @routes.get("/healthz")
    @Operation(answers={200: Answer(means="it answers", body=Alive)})
    def healthz() -> ResponseReturnValue:
        """The process answers; says nothing about the rest."""
        return {"status": "ok"}

    @routes.get("/readyz")
    @Operation(
        answers={
            200: Answer(means="a job would be drawn", body=Ready),
            503: Answer(means="it would not", body=NotReady),
        }
    )
    def readyz() -> ResponseReturnValue:
        """Records and pictures can be written, and each type that was served still is."""
        problems: dict[str, str] = {}
        workers: tuple[WorkerFacts, ...] = ()
        try:
            # A write: Redis with a full disk or memory still reads.
            desk.redis.set(PROBE, "1", ex=60)
            workers = desk.workers.alive()
            if not workers:
                problems["workers"] = "no worker is alive"
            for job_type in desk.workers.missing_types():
                problems[f"workers:{job_type}"] = f"no worker serves {job_type} any more"
        except (RedisError, RecordsUnavailable) as error:
            problems["records"] = "the job records cannot be written"
            log.warning("not ready", reason=str(error))
        try:
            desk.store.probe()
        except StoreError as error:
            problems["store"] = "the pictures' store cannot be used"
            log.warning("not ready", reason=str(error))
        facts = _facts(desk, workers)
        if not problems:
            return {"status": "ready", **facts}
        told = {"problem": "; ".join(problems.values()), "missing": list(problems)}
        return {"status": "not ready", **told, **facts}, HTTPStatus.SERVICE_UNAVAILABLE

    return routes


def _facts(desk: Desk, workers: tuple[WorkerFacts, ...]) -> dict[str, object]:
    models = {model for worker in workers for model in worker.models}
    return {
        "workers": len(workers),
        "types": sorted({kind for worker in workers for kind in worker.types}),
        "models": sorted(models),
        "default_model": desk.reading.default_model,
        "default_model_installed": desk.reading.default_model in models,
    }
