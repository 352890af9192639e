"""Composed prompts: `a cat AND a dog :0.7` guides towards two prompts at once, each by itself.

Source: Liu et al. 2022 (arXiv:2206.01714), and AUTOMATIC1111's `get_multicond_prompt_list`, which
takes a number after the last colon of any prompt for its weight. Pure text.
"""

import re
from dataclasses import dataclass

from stable_diffusion.errors import PromptError
from stable_diffusion.prompt.prompt_editing import EditedText, parse_editing

MAX_PROMPTS = 16
"""Each is one more evaluation of the network at every step."""
LARGEST_WEIGHT = 100.0

_AND = re.compile(r"\bAND\b")
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?|[0-9]*\.[0-9]+)")


@dataclass(frozen=True)
class ComposedPrompt:
    """One prompt of a composition.

    Attributes:
        text: its words, which may be edited between steps.
        weight: factor of the guidance towards it; negative: away from it.
    """

    text: EditedText
    weight: float = 1.0


def parse_composition(text: str) -> tuple[ComposedPrompt, ...]:
    """Split a prompt at `AND` and take the weights off; at least one prompt.

    Raises:
        PromptError: more than `MAX_PROMPTS`, or a weight beyond ±`LARGEST_WEIGHT`.
    """
    texts = _AND.split(text)
    if len(texts) > MAX_PROMPTS:
        raise PromptError(f"it has {len(texts)} prompts joined by AND; the most are {MAX_PROMPTS}")
    return tuple(map(_weighted, texts))


def composition_warnings(prompts: tuple[ComposedPrompt, ...]) -> tuple[str, ...]:
    """A sentence without its subject, if a number at the end weighs a prompt that stands alone."""
    first, *others = prompts
    if others or first.weight == 1:
        return ()
    return (
        f"ends in a colon and a number, which weighs it: guidance towards it is multiplied by "
        f"{first.weight:g}; a comma after the number makes it text",
    )


def _weighted(text: str) -> ComposedPrompt:
    words, colon, number = text.rpartition(":")
    if not colon or not _NUMBER.fullmatch(number.strip()):
        return ComposedPrompt(parse_editing(text))
    weight = float(number)
    if abs(weight) > LARGEST_WEIGHT:
        raise PromptError(
            f"the number {number.strip()[:40]} at the end of {text.strip()[:40]!r} weighs the "
            f"prompt, and is beyond ±{LARGEST_WEIGHT:g}; a comma after it makes it text"
        )
    return ComposedPrompt(parse_editing(words.rstrip()), weight)
