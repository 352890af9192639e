"""The prompts in the record of a job: those of its parts, and what is left of them afterwards."""

from typing import Any

PROMPTS, NEGATIVE_PROMPTS = "prompts", "negative_prompts"
"""The keys under which a stored request has the prompts of its parts: of a file, or drawn."""
MAX_ENDED_CHARACTERS = 8192
"""Of all prompts together that an ended job's record keeps whole."""


def prompts_of(stored: dict[str, Any]) -> tuple[str, ...]:
    """The prompts of a record's request: those of its parts, else its own."""
    return tuple(stored.get(PROMPTS) or (stored.get("prompt", ""),))


def shortened_request(stored: dict[str, Any]) -> dict[str, Any]:
    """A stored request as the record of an ended job keeps it.

    If its prompts have more than MAX_ENDED_CHARACTERS together, each is cut to an equal share of
    them, and ends with the length that it had.
    """
    own = {name: stored[name] for name in ("prompt", "negative_prompt") if name in stored}
    listed = [name for name in (PROMPTS, NEGATIVE_PROMPTS) if name in stored]
    texts = [*own.values(), *(text for name in listed for text in stored[name])]
    if sum(map(len, texts)) <= MAX_ENDED_CHARACTERS:
        return stored
    share = MAX_ENDED_CHARACTERS // len(texts)

    def cut(text: str) -> str:
        end = f"… [{len(text)} characters]"
        return text if len(text) <= share + len(end) else text[:share] + end

    short = {name: cut(text) for name, text in own.items()}
    return {**stored, **short, **{name: [*map(cut, stored[name])] for name in listed}}
