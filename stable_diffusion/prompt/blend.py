"""Blends: `tabby cat:0.25 white duck:0.75 hybrid` mixes the meanings of three prompts.

Source: basujindal's optimizedSD (`split_weighted_subprompts`). Inside brackets the emphasis
rules win, so a number counts here only outside all of them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from stable_diffusion.errors import PromptError
from stable_diffusion.prompt.emphasis import LARGEST_WEIGHT

_TOKEN = re.compile(
    r"""
      \\.?                                                          # an escaped character
    | (?P<bracket>[()\[\]])
    | :(?P<weight>[+-]?(?:\d+(?:\.\d*)?|\.\d+))(?=\s|\Z)
    | [^\\()\[\]:]+ | :
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class BlendPart:
    """One prompt of a blend.

    Attributes:
        text: its words, emphasis not parsed yet, without white space around them.
        weight: as written, or 1 for text that no number follows; shares are weight / Σ weights.
        start: where the text begins in the whole prompt.
    """

    text: str
    weight: float
    start: int = field(default=0, compare=False)


def parse_blend(text: str) -> tuple[BlendPart, ...]:
    r"""Split a prompt at its weights: `words:number` at top level, then white space or the end.

    A colon without words before it (`:3`) is text, and so is an
    escaped one (`16\:9`). A prompt without weights is one part of weight 1.

    Raises:
        PromptError: the weights add up to zero, or one is beyond ±`LARGEST_WEIGHT`.
    """
    parts: list[BlendPart] = []
    start = 0
    for end, next_start, weight in _weights(text):
        if words := _part(text, start, end, weight):
            parts.append(words)
            start = next_start
    if rest := _part(text, start, len(text), 1.0):
        parts.append(rest)
    if not parts:
        return (BlendPart(text.strip(), 1.0),)
    total = sum(part.weight for part in parts)
    # opposite weights such as 0.1 + 0.2 - 0.3 miss zero by a rounding error
    if abs(total) <= 1e-9 * sum(abs(part.weight) for part in parts):
        weights = " + ".join(f"{part.weight:g}" for part in parts)
        raise PromptError(f"the weights of the blend add up to zero ({weights})")
    return tuple(parts)


def _weights(text: str) -> Iterator[tuple[int, int, float]]:
    """Every number at top level: where its words end, where what follows begins, its value."""
    depth = {"(": 0, "[": 0}
    for token in _TOKEN.finditer(text):
        bracket = token["bracket"]
        if bracket in depth:
            depth[bracket] += 1
        elif bracket:
            kind = "(" if bracket == ")" else "["
            depth[kind] = max(0, depth[kind] - 1)  # an unmatched bracket is text
        elif token["weight"] and not any(depth.values()):
            weight, position = float(token["weight"]), token.start("weight")
            if abs(weight) > LARGEST_WEIGHT:
                raise PromptError(
                    f"the weight {token['weight'][:40]} at position {position} is beyond "
                    f"±{LARGEST_WEIGHT:g}",
                    position,
                )
            yield token.start(), token.end(), weight


def _part(text: str, start: int, end: int, weight: float) -> BlendPart | None:
    words = text[start:end]
    if not words.strip():
        return None
    return BlendPart(words.strip(), weight, start + len(words) - len(words.lstrip()))
