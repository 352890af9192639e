"""The parameters that say how prompts are read and encoded."""

from typing import Annotated

from pydantic import BaseModel, Field

from jobs.parameter_types import WHOLE
from stable_diffusion.bounds import MAX_CLIP_SKIP


class PromptParameters(BaseModel, frozen=True):
    """How the prompts of a request become what the network is given."""

    clip_skip: Annotated[
        int,
        Field(
            ge=1,
            le=MAX_CLIP_SKIP,
            description="the layer of the text encoder whose output is used: 1 is the last, 2 the "
            "one before it",
        ),
        WHOLE,
    ] = 1
