"""GET /healthz and /readyz: whether this process lives, and whether a job would be drawn."""

from http import HTTPStatus

from flask import Blueprint
from flask.typing import ResponseReturnValue
from redis import RedisError

from api.answers import Alive, NotReady, Ready
from api.desk import Desk
from api.operations import Answer, Operation
from jobs.errors import RecordsUnavailable

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
        """Records can be written, and at least one worker is alive."""
        try:
            # A write: Redis with a full disk or memory still reads.
            desk.redis.set(PROBE, "1", ex=60)
            workers = desk.workers.alive()
        except (RedisError, RecordsUnavailable):
            return _not_ready("the job records cannot be written")
        if not workers:
            return _not_ready("no worker is alive")
        models = {model for worker in workers for model in worker.models}
        return {
            "status": "ready",
            "workers": len(workers),
            "types": sorted({kind for worker in workers for kind in worker.types}),
            "models": sorted(models),
            "default_model": desk.default_model,
            "default_model_installed": desk.default_model in models,
        }

    return routes


def _not_ready(problem: str) -> ResponseReturnValue:
    return {"status": "not ready", "problem": problem}, HTTPStatus.SERVICE_UNAVAILABLE
