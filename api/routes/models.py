"""GET /models: which models there are, and what prompts may add to them."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from api.answers import InstalledModel, Models
from api.desk import Desk
from api.operations import Answer, Operation


def model_routes(desk: Desk) -> Blueprint:
    """The route that lists the models. It needs no key."""
    routes = Blueprint("models", __name__)

    @routes.get("/models")
    @Operation(
        answers={200: Answer(means="the models of all workers together", body=Models)},
        errors=(503,),
    )
    def models() -> ResponseReturnValue:
        """The models that workers serve, the LoRAs and the embeddings.

        When no worker is alive, what the last ones served.
        """
        served = desk.workers.served()
        return Models(
            models=[
                InstalledModel(
                    name=facts.name,
                    kind=facts.kind,
                    size=facts.bytes,
                    hash=facts.hash,
                    resident=facts.resident,
                    problem=facts.problem,
                )
                for facts in served.model_facts
            ],
            default_model=desk.reading.default_model,
            loras=list(served.loras),
            embeddings=list(served.embeddings),
        ).model_dump()

    return routes
