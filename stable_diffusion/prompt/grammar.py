"""The grammar of a prompt: tags, parts of a blend, and the emphasis within each part.

Free of torch and of tokenizers, so that the API refuses an unreadable prompt without the engine.
"""

from dataclasses import dataclass

from stable_diffusion.prompt.blend import blend_warnings, parse_blend
from stable_diffusion.prompt.emphasis import Break, EmphasisRun, parse_emphasis
from stable_diffusion.prompt.foreign_syntax import foreign_syntax_warnings
from stable_diffusion.prompt.tags import (
    LoraTag,
    loras_of,
    tag_warnings,
    tokens_of,
    without_loras,
)

__all__ = ["LoraTag", "ParsedPrompt", "PromptPart", "read_prompt"]


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
        parts: at least one; LoRAs are no part of them.
        loras: in order of their names, each once, with its weights added up.
        embeddings: names in angle brackets or after `embedding:`, in order of appearance.
        warnings: sentences without their subject, the prompt: that it is a blend, and which syntax
            of other tools stays text.
    """

    text: str
    parts: tuple[PromptPart, ...]
    loras: tuple[LoraTag, ...]
    embeddings: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def read_prompt(prompt: str | ParsedPrompt) -> ParsedPrompt:
    """Parse a prompt; one that was parsed is returned as it is.

    Raises:
        PromptError: it cannot be parsed; `position` counts from the prompt's first character.
    """
    if isinstance(prompt, ParsedPrompt):
        return prompt
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
