"""GET /workers and /metrics: what the workers are doing, for people and for Prometheus.

Neither needs a key, so neither names a job: whoever knows a job's id sees its pictures.
"""

from flask import Blueprint, Response
from flask.typing import ResponseReturnValue

from api.answers import Worker, WorkerList
from api.desk import Desk
from api.metrics import CONTENT_TYPE, exposition
from api.operations import Answer, Operation
from jobs.workers import Heard


def worker_routes(desk: Desk) -> Blueprint:
    """The routes that tell of the workers."""
    routes = Blueprint("workers", __name__)

    @routes.get("/workers")
    @Operation(
        answers={200: Answer(means="every worker that is alive", body=WorkerList)}, errors=(503,)
    )
    def workers() -> ResponseReturnValue:
        """Each worker's heartbeat, types, models, load and memory."""
        heard = desk.workers.heard()
        return WorkerList(workers=[_described(worker) for worker in heard]).model_dump()

    @routes.get("/metrics")
    @Operation(
        answers={200: Answer(means="in Prometheus' text format", media=("text/plain",))},
    )
    def metrics() -> ResponseReturnValue:
        """Jobs by type and state, and workers, for Prometheus."""
        return Response(exposition(desk), content_type=CONTENT_TYPE)

    return routes


def _described(worker: Heard) -> Worker:
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
        memory_bytes=facts.memory_bytes,
        gpu_memory_bytes=facts.gpu_memory_bytes,
    )
