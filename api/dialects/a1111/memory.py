"""GET /sdapi/v1/memory, POST /unload-checkpoint and /reload-checkpoint: the workers' memory."""

from typing import Any

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field

from api.caller import caller_of
from api.dialect import Services
from api.dialects.a1111.operation_parts import Warnings, described


class Memory(BaseModel):
    """What all workers together use, as they last announced it."""

    ram: dict[str, Any] = Field(description="`used`: resident bytes of the worker processes")
    cuda: dict[str, Any] = Field(
        description="`allocated.current`: bytes on their GPUs; `error` without a GPU"
    )


def memory_routes(services: Services) -> Blueprint:
    """The routes about the memory of models."""
    routes = Blueprint("memory", __name__)
    jobs = services.jobs

    @routes.get("/memory")
    @described(Memory, description="the workers' memory")
    def memory() -> ResponseReturnValue:
        """How much memory the workers use.

        What is free is not announced, so A1111's `free` and `total` are left out.
        """
        caller_of(services, request)
        workers = jobs.workers()
        on_gpus = [w.gpu_memory_bytes for w in workers if w.gpu_memory_bytes is not None]
        return Memory(
            ram={"used": sum(worker.memory_bytes or 0 for worker in workers)},
            cuda={"allocated": {"current": sum(on_gpus)}} if on_gpus else {"error": "unavailable"},
        ).model_dump()

    @routes.post("/unload-checkpoint")
    @described(Warnings, description="the models are being unloaded")
    def unload() -> ResponseReturnValue:
        """Free the memory of every model that no job uses, on all workers.

        The next job loads its model again.
        """
        caller_of(services, request)
        jobs.unload_models()
        return Warnings().model_dump()

    @routes.post("/reload-checkpoint")
    @described(Warnings, description="nothing is left to do")
    def reload() -> ResponseReturnValue:
        """Nothing needs to be done: a worker loads the model of a job when the job needs it."""
        caller_of(services, request)
        return Warnings().model_dump()

    return routes
