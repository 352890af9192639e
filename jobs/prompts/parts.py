"""The parts of a job: what a worker generates one after the other, each by a request of its own."""

from collections.abc import Sequence
from typing import TypeVar

from jobs.errors import InvalidRequest, WildcardError
from jobs.parameters.schemas import Request, TextToImage
from jobs.prompts.lora_tags import NO_LORAS, AddedLoras
from jobs.prompts.wildcards import FIRST_PASS, PromptField, Wildcards

_Request = TypeVar("_Request", bound=Request)


def parts_of(request: _Request, lines: int = 1) -> tuple[_Request, ...]:
    """The parts of a request, which have its prompts as they are written.

    They are a part for each combination of `vary`, or for each prompt of a file, whose seeds
    continue from part to part; with `wildcards` one for each of their pictures.

    Args:
        request: with a seed.
        lines: how many prompts its file has; 1 without a file.
    """
    parts = [
        combination.model_copy(update=_seeds(combination, line * combination.image_count))
        for combination in request.combinations()
        for line in range(lines)
    ]
    if request.wildcards:
        single = {"n_iter": 1, "n_samples": 1}
        parts = [
            part.model_copy(update=single | _seeds(part, number))
            for part in parts
            for number in range(part.image_count)
        ]
    return tuple(parts)


def drawn_parts(
    request: _Request,
    lines: tuple[str, ...],
    wildcards: Wildcards,
    loras: Sequence[AddedLoras] = (NO_LORAS,),
) -> tuple[_Request, ...]:
    """The parts of a request with wildcards, with the prompts that their seeds draw.

    Args:
        lines: the prompts of its file; empty: its own.
        loras: what each prompt gets once it is drawn; one for each combination, or one for all.

    Raises:
        InvalidRequest: the prompts cannot be drawn; with a fault of each field.
    """
    faults = {}
    drawn: list[_Request] = []
    parts = parts_of(request, len(lines) or 1)
    for number, part in enumerate(parts):
        own = "from-file" if lines else "prompt"
        line = lines[number // request.image_count % len(lines)] if lines else part.prompt
        written: dict[PromptField, str] = {"prompt": line, "negative_prompt": part.negative_prompt}
        if isinstance(part, TextToImage) and part.has_second_pass:
            written |= {field: getattr(part, field) for field in FIRST_PASS}
        texts: dict[str, str] = {}
        for field, text in written.items():
            shown = own if field == "prompt" else field
            base = FIRST_PASS.get(field)
            first = written[base] if base in texts else ""
            try:
                texts[field] = wildcards.expand(text, part.seed or 0, field=field, first=first)
            except WildcardError as error:
                faults.setdefault(shown, error.fault(shown))
        if "prompt" in texts:
            added = loras[number * len(loras) // len(parts)]
            texts["prompt"] = added.to(texts["prompt"], part.prompt_grammar)
        drawn.append(part.model_copy(update=texts))
    if faults:
        raise InvalidRequest(tuple(faults.values()))
    return tuple(drawn)


def _seeds(request: Request, images: int) -> dict[str, int]:
    """Of the picture with this number; variations have one seed and go on in the other."""
    seed, variation_seed = request.seed, request.variation_seed
    if request.variation_strength:
        # it may not be drawn yet, and changes no prompt
        return {} if variation_seed is None else {"variation_seed": variation_seed + images}
    return {} if seed is None else {"seed": seed + images}
