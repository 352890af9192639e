"""The parameter that chooses among a model's presets."""

from typing import Annotated

from pydantic import BaseModel, Field

from jobs.model_defaults import Preset


class PresetParameter(BaseModel, frozen=True):
    """Which of a model's presets a request wants."""

    preset: Annotated[
        Preset | None,
        Field(
            description="values of the model for what the request leaves out: fast or quality, as "
            "GET /models lists them; null: the model's defaults"
        ),
    ] = None
