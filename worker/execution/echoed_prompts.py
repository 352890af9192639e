"""The parsed prompts of a job for its record."""

import json
from collections.abc import Sequence
from typing import Any

_LISTED = {"prompt": "prompts", "negative_prompt": "negative_prompts"}
_MAX_ECHOED = 32 * 1024


def echoed_prompts(descriptions: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The parsed prompts of the parts of a job; those that differ are a list, one for each part.

    Of prompts that would take more than _MAX_ECHOED characters, their `parts` are left out.

    Args:
        descriptions: as of `Engine.describe`, with a `prompt` and a `negative_prompt`.
    """
    echo: dict[str, Any] = {}
    for field, listed in _LISTED.items():
        prompts = [each[field] for each in descriptions if field in each]
        if any(prompt != prompts[0] for prompt in prompts):
            echo[listed] = prompts
        elif prompts:
            echo[field] = prompts[0]
    if len(json.dumps(echo)) > _MAX_ECHOED:
        return {key: _without_parts(value) for key, value in echo.items()}
    return echo


def _without_parts(echoed: Any) -> Any:
    if isinstance(echoed, list):
        return [_without_parts(each) for each in echoed]
    return {name: value for name, value in echoed.items() if name != "parts"}
