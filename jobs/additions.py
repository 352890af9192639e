"""What a prompt adds to its model: LoRAs and embeddings, and whether they are installed."""

import difflib
from collections.abc import Collection, Iterable

from jobs.errors import Fault
from stable_diffusion.errors import PromptError
from stable_diffusion.prompt.grammar import loras_of, tokens_of

_MOST_LISTED = 50


def addition_faults(
    field: str,
    prompts: Iterable[str],
    *,
    loras: Collection[str],
    embeddings: Collection[str],
) -> tuple[Fault, ...]:
    """A fault for each LoRA and embedding that prompts name and nobody has.

    An embedding is judged only in angle brackets: without them it cannot be told from a word.

    Args:
        field: where the prompts stand in the request.
        prompts: as they were sent.
        loras, embeddings: the names that workers serve; an embedding's in any case.
    """
    faults: dict[str, Fault] = {}
    tokens = {name.lower() for name in embeddings}
    for prompt in prompts:
        for name in tokens_of(prompt):
            if name.lower() not in tokens:
                faults[f"<{name}>"] = _unknown(field, "embedding", name, embeddings)
        try:
            wanted = loras_of(prompt)
        except PromptError:
            continue  # the prompt's own fault is told by its own rule
        for tag in wanted:
            if tag.name not in loras:
                faults[tag.name] = _unknown(field, "LoRA", tag.name, loras)
    return tuple(faults.values())


def _unknown(field: str, what: str, name: str, installed: Collection[str]) -> Fault:
    # the most alike first, so that a long list still shows what was meant
    alike = difflib.get_close_matches(name, installed, n=5, cutoff=0.5) if len(name) < 100 else []
    listed = [*alike, *sorted(set(installed) - set(alike))]
    more = f" and {len(listed) - _MOST_LISTED} more" if len(listed) > _MOST_LISTED else ""
    return Fault(
        field=field,
        code=f"unknown_{what.lower()}",
        value=name[:80],
        problem=f"names {name[:80]!r}, which is no installed {what}",
        expected=f"one of: {', '.join(listed[:_MOST_LISTED])}{more}"
        if listed
        else f"no {what} is installed",
    )
