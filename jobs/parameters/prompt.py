"""The parameters that say how prompts are read and encoded."""

from typing import Annotated

from pydantic import BaseModel, Field

from jobs.parameters.types import WHOLE
from stable_diffusion.bounds import MAX_CLIP_SKIP
from stable_diffusion.prompt.grammar import PromptGrammar


class PromptParameters(BaseModel, frozen=True):
    """How the prompts of a request become what the network is given."""

    prompt_grammar: Annotated[
        PromptGrammar,
        Field(
            description="how the prompts are read: native, with blends; or a1111, with prompt "
            "editing, alternating words and AND"
        ),
    ] = "native"
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
    zero_negative: Annotated[
        bool | None,
        Field(
            description="an empty negative prompt is zeros in place of its encoding; null: as the "
            "model's family has it, which is true for Stable Diffusion XL"
        ),
    ] = None
    wildcards: Annotated[
        bool,
        Field(
            description="draw `__name__` from the file of that name, and one of the options in "
            "braces, for each picture by its seed"
        ),
    ] = False
