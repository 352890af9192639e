"""GET /capabilities: what a client may ask this service for."""

from dataclasses import asdict
from typing import Any, get_args

from flask import Blueprint
from flask.typing import ResponseReturnValue

from api.answers import Capabilities, LimitsOfARequest, SamplerChoice
from api.desk import Desk
from api.operations import Answer, Operation
from jobs.fields import PictureFormat, Precision
from jobs.names import CONFIGS, SAMPLERS
from jobs.schemas import SCHEMAS, Request


def capability_routes(desk: Desk) -> Blueprint:
    """The route that tells what can be asked for. It needs no key."""
    routes = Blueprint("capabilities", __name__)

    @routes.get("/capabilities")
    @Operation(
        answers={200: Answer(means="what this service can do now", body=Capabilities)},
        errors=(503,),
    )
    def capabilities() -> ResponseReturnValue:
        """Types, models, samplers, limits and defaults."""
        served = desk.workers.served()
        return Capabilities(
            types=list(served.types),
            models=list(served.models),
            default_model=desk.reading.default_model,
            loras=list(served.loras),
            embeddings=list(served.embeddings),
            samplers=[
                SamplerChoice(key=sampler.key, label=sampler.label, aliases=list(sampler.aliases))
                for sampler in SAMPLERS
            ],
            precisions=list(get_args(Precision)),
            formats=list(get_args(PictureFormat)),
            configs=list(CONFIGS),
            limits=LimitsOfARequest(**asdict(desk.reading.limits)),
            defaults={
                job_type: {
                    kind: _defaults(of_types[job_type]) for kind, of_types in SCHEMAS.items()
                }
                for job_type in SCHEMAS["txt2img"]
            },
        ).model_dump()

    return routes


def _defaults(schema: type[Request]) -> dict[str, Any]:
    """The fields that a body may leave out, with what they then stand for."""
    return {
        info.alias or name: info.default
        for name, info in schema.model_fields.items()
        if not info.is_required() and name not in ("type", "prompt")
    }
