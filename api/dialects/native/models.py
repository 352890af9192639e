"""GET /models: the installed models, LoRAs and embeddings."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from api.dialects.native.capabilities_models import InstalledModel, Models
from api.job_service import JobService
from api.operations import ApiResponse, Operation
from jobs.validation.settled_defaults import InstalledDefaults, named


def model_routes(jobs: JobService) -> Blueprint:
    """The route that lists the models. It needs no key."""
    routes = Blueprint("models", __name__)

    @routes.get("/models")
    @Operation(
        responses={200: ApiResponse(description="the models of all workers together", body=Models)},
        errors=(503,),
    )
    def models() -> ResponseReturnValue:
        """The models that workers serve, the LoRAs and the embeddings.

        While no worker is alive, those of the last ones.
        """
        served = jobs.served()
        wanted = InstalledDefaults.of(served)
        return Models(
            models=[
                InstalledModel(
                    name=facts.name,
                    kind=facts.kind,
                    native_size=facts.native_size,
                    size=facts.bytes,
                    hash=facts.hash,
                    resident=facts.resident,
                    problem=facts.problem,
                    defaults=wanted.wanted(facts.name),
                    presets=wanted.wanted_by_preset(facts.name),
                    defaults_problem=facts.defaults_problem,
                )
                for facts in served.model_facts
            ],
            default_model=jobs.default_model,
            loras=list(served.loras),
            lora_defaults={each.name: named(each.defaults) for each in served.lora_facts},
            lora_problems={each.name: each.problem for each in served.lora_facts if each.problem},
            embeddings=list(served.embeddings),
            vaes=list(served.vaes),
        ).model_dump()

    return routes
