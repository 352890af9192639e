"""Blends: `tabby cat:0.25 white duck:0.75 hybrid` mixes the meanings of three prompts.

A prompt is a blend when two or more of its phrases end in a colon and a number, and these numbers
add up to 1 or 100; every other number after a colon is text. So the time in `a clock 10:30` is no
weight, nor is `16:9`, `seed:42` or the port of an address. A number right after another one is
never a weight, as two times may add up to 100.

Source: basujindal's optimizedSD (`split_weighted_subprompts`), and the reference's "the values
should usually all add up to 1 or 100". Inside brackets the emphasis rules win, so a number counts
here only outside all of them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from stable_diffusion.errors import PromptError
from stable_diffusion.prompt.emphasis import LARGEST_WEIGHT

TOTALS = (1.0, 100.0)
TOLERANCE = 0.02
"""Of a total, so that three times 0.33 is a blend."""
_LISTED = 4

_TOKEN = re.compile(
    r"""
      \\.?                                                          # an escaped character
    | (?P<bracket>[()\[\]])
    | (?<!:):(?P<weight>[+-]?(?:\d++(?!,\d)(?:\.\d*)?|\.\d+))(?:\s*[,，、]|[.;。]?(?=\s|\Z))
    | [^\\()\[\]:]+ | :
    """,
    re.VERBOSE | re.DOTALL,
)
_BARE_NUMBER = re.compile(r"(?:\A|(?<=[\s:,;/(]))[\d.,]*\d\Z")
_LONGEST_NUMBER = 40
_ALMOST = re.compile(r"(?<!:)[:：]\s*(\d+)(?:[.,](\d+))?\s*%?(?=[\s,，、.;。]|\Z)")


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


@dataclass(frozen=True)
class _Number:
    """A number that may be a weight: where it begins and ends with its colon, and its value."""

    start: int
    end: int
    written: str

    @property
    def weight(self) -> float:
        return float(self.written)


def parse_blend(text: str) -> tuple[BlendPart, ...]:
    r"""Split a prompt at its weights: `words:number` at top level, then white space or a comma.

    A colon without words before it (`:3`) and an escaped one (`cat\:1`) are text, and so are the
    second number of `16:9` and a decimal comma (`0,5`). Text after the last weight has the weight
    1. A prompt that is no blend is one part of weight 1.

    Raises:
        PromptError: a weight of a blend is beyond ±`LARGEST_WEIGHT`.
    """
    numbers = _numbers(text)
    if not _are_weights(numbers):
        return (_part(text, 0, len(text), 1.0),)
    parts: list[BlendPart] = []
    start = 0
    for number in numbers:
        if abs(number.weight) > LARGEST_WEIGHT:
            position = number.start + 1
            raise PromptError(
                f"the weight {number.written[:40]} at position {position} is beyond "
                f"±{LARGEST_WEIGHT:g}",
                position,
            )
        parts.append(_part(text, start, number.start, number.weight))
        start = number.end
    if text[start:].strip():
        parts.append(_part(text, start, len(text), 1.0))
    return tuple(parts)


def blend_warnings(text: str, parts: tuple[BlendPart, ...]) -> tuple[str, ...]:
    """What a person should know of how the numbers of a prompt were read.

    Args:
        text: the prompt.
        parts: what `parse_blend` made of it.
    """
    if len(parts) > 1:
        total = sum(part.weight for part in parts)
        shares = [f"{_short(part.text)} {part.weight / total:.1%}" for part in parts[:_LISTED]]
        more = f" and {len(parts) - _LISTED} more" if len(parts) > _LISTED else ""
        return (f"is a blend of {', '.join(shares)}{more}; for a plain colon write \\:",)
    if _are_weights(_numbers(_ALMOST.sub(_plainly, text))):
        return (
            "has numbers after colons that were read as text: the weights of a blend are written "
            "as in cat:0.5, without a space after the colon, a decimal comma or %",
        )
    numbers = [number.written for number in _numbers(text)]
    if len(numbers) > 1 or any("." in number for number in numbers):
        listed = ", ".join(numbers[:_LISTED]) + (", …" if len(numbers) > _LISTED else "")
        return (
            f"has numbers after colons ({listed}) that were read as text: the weights of a blend "
            "are two or more and add up to 1 or 100",
        )
    return ()


def _are_weights(numbers: list[_Number]) -> bool:
    total = sum(number.weight for number in numbers)
    return len(numbers) > 1 and any(abs(total - each) <= TOLERANCE * each for each in TOTALS)


def _numbers(text: str) -> list[_Number]:
    """Every number at top level that follows a colon and words of its own."""
    found: list[_Number] = []
    start = 0
    for token in _top_level(text):
        if not token["weight"] or _follows_a_number(text, token.start()):
            continue
        if text[start : token.start()].strip():
            found.append(_Number(token.start(), token.end(), token["weight"]))
            start = token.end()
    return found


def _follows_a_number(text: str, end: int) -> bool:
    """Whether a number without letters ends here: the 16 of `16:9`, not the 40 of `F40`."""
    return _BARE_NUMBER.search(text[max(0, end - _LONGEST_NUMBER) : end]) is not None


def _plainly(number: re.Match[str]) -> str:
    """A number after a colon as a blend has it."""
    return f":{number[1]}.{number[2]}" if number[2] else f":{number[1]}"


def _top_level(text: str) -> Iterator[re.Match[str]]:
    """The tokens outside all brackets."""
    depth = {"(": 0, "[": 0}
    for token in _TOKEN.finditer(text):
        bracket = token["bracket"]
        if bracket in depth:
            depth[bracket] += 1
        elif bracket:
            kind = "(" if bracket == ")" else "["
            depth[kind] = max(0, depth[kind] - 1)  # an unmatched bracket is text
        elif not any(depth.values()):
            yield token


def _part(text: str, start: int, end: int, weight: float) -> BlendPart:
    words = text[start:end]
    return BlendPart(words.strip(), weight, start + len(words) - len(words.lstrip()))


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:39] + "…")
