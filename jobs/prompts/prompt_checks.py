"""Can the prompts of a request be read in its grammar, and followed in its steps?"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from jobs.errors import Fault, InvalidRequest
from jobs.prompts.prompt_additions import InstalledAdditions
from stable_diffusion.errors import PromptError
from stable_diffusion.prompt.grammar import (
    LoraTag,
    ParsedPrompt,
    PromptGrammar,
    read_prompt,
    schedules_of,
)

if TYPE_CHECKING:
    from jobs.parameters.schemas import Request

LoraTags = frozenset[LoraTag]
"""LoRAs, each with its weights."""
_OWN_SYNTAX: Mapping[PromptGrammar, str] = {
    "native": "blends such as cat:0.3 dog:0.7",
    "a1111": "[from:to:0.5], [one|other] and AND",
}


def prompt_faults(
    request: "Request",
    field: str,
    additions: InstalledAdditions | None,
    *,
    steps: int | None = None,
) -> Iterator[Fault]:
    """The faults of a prompt in itself, and of what it adds to the model.

    Args:
        field: the prompt's; one that ends in `negative_prompt` is negative.
        additions: what is installed; None: not known, so any is accepted.
        steps: in which it is followed; None: `ddim_steps`.
    """
    text: str = getattr(request, field)
    negative = field.endswith("negative_prompt")
    try:
        prompt = read_prompt(text, request.prompt_grammar, negative=negative)
        schedules_of(prompt, steps or request.ddim_steps)
        if negative and prompt.loras:
            raise PromptError("a LoRA belongs in the prompt; with a weight below 0 to avoid it")
    except PromptError as error:
        at = error.position
        yield Fault(
            field=field,
            code="bad_prompt",
            value=text[:80] if at is None else text[max(0, at - 20) : at + 60],
            problem=str(error),
            expected="words with (emphasis:1.2), [less], <lora:name:0.8>, and "
            + _OWN_SYNTAX[request.prompt_grammar],
        )
        return
    if additions:
        yield from additions.faults(field, [prompt])


def read_drawn(parts: "Sequence[Request]", field: str) -> tuple[ParsedPrompt, ...]:
    """The prompts that were drawn for the parts of a request.

    Args:
        field: where they come from.

    Raises:
        InvalidRequest: one of them cannot be read.
    """
    try:
        return tuple(read_prompt(part.prompt, part.prompt_grammar) for part in parts)
    except PromptError as error:
        fault = Fault(
            field=field,
            code="bad_prompt",
            value=None,
            problem=f"draws a prompt that cannot be read: {error}",
            expected="prompts that can be read",
        )
        raise InvalidRequest((fault,)) from error


def file_faults(
    request: "Request", prompts: Sequence[ParsedPrompt], additions: InstalledAdditions | None
) -> Iterator[Fault]:
    """The faults of the prompts of a file, which can be read; `additions` as above."""
    try:
        for prompt in prompts:
            schedules_of(prompt, request.ddim_steps)
    except PromptError as error:
        yield Fault(
            field="from-file",
            code="bad_prompt",
            value=request.from_file,
            problem=f"holds a prompt that cannot be followed: {error}",
            expected="prompts that can be read",
        )
        return
    if additions:
        yield from additions.faults("from-file", prompts)


def most_joined(request: "Request", file_prompts: Sequence[ParsedPrompt]) -> int:
    """The most prompts that AND joins in one prompt of the request; 1 if it cannot be read."""
    try:
        prompts = file_prompts or (read_prompt(request.prompt, request.prompt_grammar),)
    except PromptError:
        return 1  # a fault of its field
    return max(max(1, len(prompt.composed)) for prompt in prompts)


def loras_in(prompt: str, grammar: PromptGrammar) -> LoraTags:
    """The LoRAs of a prompt; none if it cannot be read."""
    try:
        return LoraTags(read_prompt(prompt, grammar).loras)
    except PromptError:
        return LoraTags()  # a fault of its field
