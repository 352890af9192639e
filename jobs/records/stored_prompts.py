"""The prompts in the record of a job: those of its parts, and what is left of them afterwards."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

from jobs.parameters.comparison import COMBINATIONS
from jobs.parameters.schemas import Request

PROMPTS_OF_PARTS = {
    field: f"{field}s"
    for field in ("prompt", "negative_prompt", "hires_prompt", "hires_negative_prompt")
}
"""For each prompt of a request, the key under which its record has those of its parts: of a file,
or drawn."""
MAX_ENDED_CHARACTERS = 8192
"""Of all prompts together that an ended job's record keeps whole."""


def prompts_of(stored: dict[str, Any]) -> tuple[str, ...]:
    """The prompts of a record's request: those of its parts, else its own."""
    return tuple(stored.get(PROMPTS_OF_PARTS["prompt"]) or (stored.get("prompt", ""),))


def drawn_prompts(request: Request, parts: Sequence[Request]) -> dict[str, tuple[str, ...]]:
    """Those of the parts of a request with wildcards, by the names of `NewJob`.

    The prompts are always there, the others if one differs from the request's own.
    """
    texts = {
        key: (getattr(request, field), tuple(getattr(part, field) for part in parts))
        for field, key in PROMPTS_OF_PARTS.items()
        if hasattr(request, field)
    }
    return {
        key: drawn
        for key, (own, drawn) in texts.items()
        if key == PROMPTS_OF_PARTS["prompt"] or any(text != own for text in drawn)
    }


def shortened_request(stored: dict[str, Any]) -> dict[str, Any]:
    """A stored request as the record of an ended job keeps it.

    If its prompts have more than MAX_ENDED_CHARACTERS together, each is cut to an equal share of
    them, and ends with the length that it had.
    """
    own = {name: stored[name] for name in PROMPTS_OF_PARTS if stored.get(name)}
    listed = {name: stored[name] for name in PROMPTS_OF_PARTS.values() if name in stored}
    vary: dict[str, list[Any]] = stored.get("vary") or {}
    varied = {name: vary[name] for name in PROMPTS_OF_PARTS if name in vary}
    combinations: list[dict[str, Any]] = stored.get(COMBINATIONS, [])
    of_combinations = [each["prompt"] for each in combinations if "prompt" in each]
    texts = [*own.values(), *chain(*listed.values(), *varied.values()), *of_combinations]
    if sum(map(len, texts)) <= MAX_ENDED_CHARACTERS:
        return stored
    share = MAX_ENDED_CHARACTERS // len(texts)

    def cut(text: str) -> str:
        end = f"… [{len(text)} characters]"
        return text if len(text) <= share + len(end) else text[:share] + end

    def cut_all(lists: dict[str, list[str]]) -> dict[str, list[str]]:
        return {name: [*map(cut, texts)] for name, texts in lists.items()}

    short: dict[str, Any] = {name: cut(text) for name, text in own.items()}
    if varied:
        short["vary"] = vary | cut_all(varied)
    if of_combinations:
        short[COMBINATIONS] = [
            each | ({"prompt": cut(each["prompt"])} if "prompt" in each else {})
            for each in combinations
        ]
    return {**stored, **short, **cut_all(listed)}
