"""GET /capabilities: what a request may contain."""

from dataclasses import asdict
from typing import Any, get_args

from flask import Blueprint
from flask.typing import ResponseReturnValue

from api.dialects.native.capabilities_models import (
    Capabilities,
    ModelChoices,
    RequestLimits,
    SamplerChoice,
)
from api.job_service import JobService
from api.operations import ApiResponse, Operation
from jobs.names import CONFIGS, SAMPLERS, SCHEDULERS
from jobs.parameters.picture_fields import picture_fields
from jobs.parameters.schemas import SCHEMAS, AnyRequest
from jobs.parameters.types import Precision
from jobs.pictures.output_formats import OUTPUT_FORMATS
from jobs.pictures.picture_formats import FORMATS
from jobs.upscalers import UpscalerName
from jobs.validation.settled_defaults import InstalledDefaults


def capability_routes(jobs: JobService) -> Blueprint:
    """The route that lists the choices, limits and defaults. It needs no key."""
    routes = Blueprint("capabilities", __name__)

    @routes.get("/capabilities")
    @Operation(
        responses={200: ApiResponse(description="what a request may contain", body=Capabilities)},
        errors=(503,),
    )
    def capabilities() -> ResponseReturnValue:
        """Types, models, samplers, limits and defaults."""
        served = jobs.served()
        wanted = InstalledDefaults.of(served)
        return Capabilities(
            types=list(served.types),
            models=list(served.models),
            native_sizes=served.native_sizes,
            max_sides={name: jobs.limits.side(size) for name, size in served.native_sizes.items()},
            default_model=jobs.default_model,
            loras=list(served.loras),
            embeddings=list(served.embeddings),
            vaes=list(served.vaes),
            wildcards=list(jobs.wildcards()),
            samplers=[
                SamplerChoice(key=sampler.key, label=sampler.label, aliases=list(sampler.aliases))
                for sampler in SAMPLERS
            ],
            schedulers=[
                SamplerChoice(key=each.key, label=each.label, aliases=list(each.aliases))
                for each in SCHEDULERS
            ],
            precisions=list(get_args(Precision)),
            formats=list(OUTPUT_FORMATS),
            init_image_types=list(FORMATS.values()),
            configs=list(CONFIGS),
            upscalers=list(get_args(UpscalerName)),
            limits=RequestLimits(**asdict(jobs.limits)),
            defaults={
                job_type: {
                    kind: _defaults(of_types[job_type]) for kind, of_types in SCHEMAS.items()
                }
                for job_type in SCHEMAS["txt2img"]
            },
            picture_fields={
                kind: picture_fields(of_types["standard"]) for kind, of_types in SCHEMAS.items()
            },
            model_defaults={
                name: ModelChoices(defaults=defaults, presets=presets)
                for name in served.models
                if (defaults := wanted.wanted(name)) | (presets := wanted.wanted_by_preset(name))
            },
        ).model_dump()

    return routes


def _defaults(schema: type[AnyRequest]) -> dict[str, Any]:
    """The optional fields with their defaults."""
    return {
        info.alias or name: info.default
        for name, info in schema.model_fields.items()
        if not info.is_required() and name not in ("type", "prompt")
    }
