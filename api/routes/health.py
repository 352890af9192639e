"""GET /healthz and /readyz: whether this process answers, and whether a job would be run."""

from http import HTTPStatus

import structlog
from flask import Blueprint
from flask.typing import ResponseReturnValue
from redis import RedisError

from api.backends import Backends
from api.health_models import Alive, NotReady, Ready
from api.operations import ApiResponse, Operation
from jobs.errors import RecordsUnavailable, StoreError
from jobs.workers import WorkerFacts

log = structlog.get_logger(__name__)

PROBE = "sdapi:ready"


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
            200: ApiResponse(description="a job would be run", body=Ready),
            503: ApiResponse(description="a job would not be run", body=NotReady),
        }
    )
    def readyz() -> ResponseReturnValue:
        """Records and pictures can be written, and every expected job type has a worker."""
        problems: dict[str, str] = {}
        workers: tuple[WorkerFacts, ...] = ()
        try:
            # A write: Redis with a full disk or memory can still be read.
            backends.redis.set(PROBE, "1", ex=60)
            workers = backends.workers.alive()
            if not workers:
                problems["workers"] = "no worker is alive"
            for job_type in backends.workers.missing_types():
                problems[f"workers:{job_type}"] = f"no worker serves {job_type} any more"
        except (RedisError, RecordsUnavailable) as error:
            problems["records"] = "the job records cannot be written"
            log.warning("not ready", reason=str(error))
        try:
            backends.store.probe()
        except StoreError as error:
            problems["store"] = "the picture store cannot be used"
            log.warning("not ready", reason=str(error))
        facts = _facts(workers, default_model)
        if not problems:
            return {"status": "ready", **facts}
        explained = {"problem": "; ".join(problems.values()), "missing": list(problems)}
        return {"status": "not ready", **explained, **facts}, HTTPStatus.SERVICE_UNAVAILABLE

    return routes


def _facts(workers: tuple[WorkerFacts, ...], default_model: str) -> dict[str, object]:
    models = {model for worker in workers for model in worker.models}
    return {
        "workers": len(workers),
        "types": sorted({job_type for worker in workers for job_type in worker.types}),
        "models": sorted(models),
        "default_model": default_model,
        "default_model_installed": default_model in models,
    }
