"""The grammars of a prompt: the native one, and AUTOMATIC1111's.

Both have tags, emphasis and BREAK. The native one blends the meanings of its parts; AUTOMATIC1111's
edits a prompt between steps and composes several. Free of torch and of tokenizers, so that the API
refuses an unreadable prompt without the engine.
"""

from dataclasses import dataclass
from typing import Literal

from stable_diffusion.errors import PromptError
from stable_diffusion.prompt.a1111_text import comment_warnings, unescaped, without_comments
from stable_diffusion.prompt.blend import blend_warnings, parse_blend
from stable_diffusion.prompt.composition import (
    ComposedPrompt,
    composition_warnings,
    parse_composition,
)
from stable_diffusion.prompt.emphasis import Break, EmphasisRun, parse_emphasis
from stable_diffusion.prompt.foreign_syntax import foreign_syntax_warnings
from stable_diffusion.prompt.prompt_editing import parse_editing
from stable_diffusion.prompt.tags import (
    LoraTag,
    loras_of,
    tag_warnings,
    tokens_of,
    without_loras,
)

__all__ = [
    "LoraTag",
    "ParsedPrompt",
    "PromptGrammar",
    "PromptPart",
    "PromptSchedule",
    "read_prompt",
    "schedules_of",
]

PromptGrammar = Literal["native", "a1111"]


@dataclass(frozen=True)
class PromptPart:
    """One prompt of a blend.

    Attributes:
        text: its words as they were written, without white space around them.
        weight: as it was written, or 1.
        share: its weight over the sum of all weights.
        runs: its words without brackets, by weight.
    """

    text: str
    weight: float
    share: float
    runs: tuple[EmphasisRun | Break, ...]


@dataclass(frozen=True)
class ParsedPrompt:
    """A prompt that was parsed, to be handed on in place of its text.

    Attributes:
        text: the prompt as it was sent, tags included; bare names of embeddings are found in it.
        parts: at least one, unless it is composed; LoRAs are no part of them.
        loras: in order of their names, each once, with its weights added up.
        embeddings: names in angle brackets or after `embedding:`, in order of appearance.
        warnings: sentences without their subject, the prompt: that it is a blend, and which syntax
            of other tools stays text.
        grammar: how it was read.
        composed: the prompts that it joins with AND, or the one that is edited or weighted; none
            for a prompt that is the same text at every step.
    """

    text: str
    parts: tuple[PromptPart, ...]
    loras: tuple[LoraTag, ...]
    embeddings: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    grammar: PromptGrammar = "native"
    composed: tuple[ComposedPrompt, ...] = ()


@dataclass(frozen=True)
class PromptSchedule:
    """One prompt of a composition, step by step.

    Attributes:
        weight: factor of the guidance towards it.
        stages: the last step of each stage, counted from 1, and the prompt up to it; none of these
            is composed.
    """

    weight: float
    stages: tuple[tuple[int, ParsedPrompt], ...]


def read_prompt(
    prompt: str | ParsedPrompt, grammar: PromptGrammar = "native", *, negative: bool = False
) -> ParsedPrompt:
    """Parse a prompt; one that was parsed is returned as it is.

    Args:
        grammar: how it is read.
        negative: whether it is a negative prompt, which AUTOMATIC1111 does not compose: `AND` and a
            number at the end are text.

    Raises:
        PromptError: it cannot be parsed; `position` counts from the prompt's first character.
    """
    if isinstance(prompt, ParsedPrompt):
        return prompt
    if grammar == "a1111":
        return _a1111(prompt, negative=negative)
    words = without_loras(prompt)
    blend = parse_blend(words)
    total = sum(part.weight for part in blend)
    return ParsedPrompt(
        text=prompt,
        parts=tuple(
            PromptPart(
                part.text,
                part.weight,
                part.weight / total,
                parse_emphasis(part.text, offset=part.start),
            )
            for part in blend
        ),
        loras=loras_of(prompt),
        embeddings=tokens_of(prompt),
        warnings=blend_warnings(words, blend)
        + foreign_syntax_warnings(words)
        + tag_warnings(prompt),
    )


def schedules_of(
    prompt: str | ParsedPrompt, steps: int, steps_before: int = 0
) -> tuple[PromptSchedule, ...]:
    """What a prompt is at each of the sampling steps; several for a composition.

    Equal stages are one object.

    Args:
        steps: sampling steps asked for; `when` counts these.
        steps_before: of a second pass: those of the first. `when` counts on, as AUTOMATIC1111 has
            it: the steps begin at steps_before + 1, and shares are from 1 to 2.

    Raises:
        PromptError: it cannot be parsed, or it is too long for so many steps.
    """
    parsed = read_prompt(prompt)
    if not parsed.composed:
        return (PromptSchedule(1.0, ((steps, parsed),)),)
    known: dict[str, ParsedPrompt] = {}

    def stage(text: str) -> ParsedPrompt:
        if text not in known:
            try:
                known[text] = _plain(text, parsed.text)
            except PromptError as error:  # its position counts in the stage alone
                raise PromptError(f"in {text.strip()[:40]!r}: {error}") from None
        return known[text]

    return tuple(
        PromptSchedule(
            one.weight,
            tuple((last, stage(text)) for last, text in one.text.stages(steps, steps_before)),
        )
        for one in parsed.composed
    )


def _a1111(prompt: str, *, negative: bool) -> ParsedPrompt:
    plain = without_comments(prompt)
    words = without_loras(plain)
    composed = (ComposedPrompt(parse_editing(words)),) if negative else parse_composition(words)
    first = composed[0]
    static = len(composed) == 1 and first.weight == 1 and not first.text.changes
    return ParsedPrompt(
        text=prompt,
        parts=_plain(first.text.text, prompt).parts if static else (),
        loras=loras_of(plain),
        embeddings=tokens_of(plain),
        warnings=comment_warnings(prompt) + composition_warnings(composed) + tag_warnings(plain),
        grammar="a1111",
        composed=() if static else composed,
    )


def _plain(text: str, prompt: str) -> ParsedPrompt:
    """A text of AUTOMATIC1111's grammar without editing, a stage of a prompt."""
    words = text.strip()
    part = PromptPart(words, 1.0, 1.0, parse_emphasis(unescaped(words)))
    return ParsedPrompt(prompt, (part,), (), (), grammar="a1111")
