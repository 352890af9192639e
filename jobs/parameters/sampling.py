"""The parameters that change how a sampler samples, and the noise it starts from.

Which sampler takes which is in the sampler table; `jobs.validation.sampling_warnings` says what has
no effect.
"""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from jobs.limits import MAX_SIDE, SIDE_STEP
from jobs.names import AUTOMATIC, SCHEDULERS, scheduler_named
from jobs.parameters.types import WHOLE, Seed

Share = Annotated[float, Field(ge=0, le=1)]
Sigma = Annotated[float, Field(ge=0, le=1000)]
ResizedSide = Annotated[int, Field(ge=SIDE_STEP, le=MAX_SIDE, multiple_of=SIDE_STEP), WHOLE]


def _scheduler(spelling: object) -> str:
    scheduler = scheduler_named(spelling) if isinstance(spelling, str) else None
    if scheduler is None:
        raise PydanticCustomError("enum", "is no scheduler")
    return scheduler.key


Scheduler = Annotated[
    str,
    BeforeValidator(_scheduler),
    WithJsonSchema(
        {
            "type": "string",
            "enum": [
                spelling
                for row in SCHEDULERS
                for spelling in dict.fromkeys((row.key, *row.aliases, row.label))
            ],
        }
    ),
]


class SamplingParameters(BaseModel, frozen=True):
    """The parameters of both kinds and both types that concern the sampling."""

    scheduler: Annotated[
        Scheduler, Field(description="noise levels of the sampler; automatic: its own")
    ] = AUTOMATIC
    eta: Annotated[
        Share | None,
        Field(description="share of fresh noise in each step; null: the sampler's own"),
    ] = None
    s_churn: Annotated[Sigma, Field(description="noise added before each step")] = 0.0
    s_tmin: Annotated[Sigma, Field(description="smallest noise level with s_churn")] = 0.0
    s_tmax: Annotated[
        Sigma | None, Field(description="largest noise level with s_churn; null: no limit")
    ] = None
    s_noise: Annotated[
        float, Field(ge=0, le=10, description="scales the noise that the sampler adds")
    ] = 1.0
    guidance_rescale: Annotated[
        Share, Field(description="brings the contrast of strong guidance back; 1: wholly")
    ] = 0.0
    guidance_start: Annotated[
        Share, Field(description="share of the sampling after which guidance begins")
    ] = 0.0
    guidance_end: Annotated[
        Share, Field(description="share of the sampling after which guidance ends")
    ] = 1.0
    variation_seed: Annotated[
        Seed,
        Field(description="seed of the variation of the first picture; null: a random one"),
    ] = None
    variation_strength: Annotated[
        Share,
        Field(
            description="from the noise of seed to that of variation_seed; above 0 all pictures "
            "have the seed of the first"
        ),
    ] = 0.0
    seed_resize_from_h: Annotated[
        ResizedSide | None,
        Field(description="height whose noise the picture gets in its middle; null: its own"),
    ] = None
    seed_resize_from_w: Annotated[
        ResizedSide | None,
        Field(description="width whose noise the picture gets in its middle; null: its own"),
    ] = None
    tiling: Annotated[
        bool, Field(description="a seamless picture: opposite edges continue each other")
    ] = False
