r"""Emphasis: `(more)`, `[less]`, `(exactly:1.3)`, and BREAK.

Source: AUTOMATIC1111's prompt parser, with `\:` as a literal, white space allowed around a
weight, and BREAK working inside brackets too. Pure text: no tokens, no tensors.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import isclose

from stable_diffusion.errors import PromptError

STRONGER = 1.1
WEAKER = 1 / 1.1
# Far beyond any use, and small enough to stay finite in float32 all the way to the network.
LARGEST_WEIGHT = 1e6

_TOKEN = re.compile(
    r"""
      \\(?P<literal>[()\[\]\\:])
    | (?P<escape>\\)                                # dropped before any other character
    | (?P<open>[(\[])
    | :\s*(?P<weight>[+-]?[\d.]+)\s*(?P<end>\))     # closes a round bracket, if one is open
    | (?P<close>[)\]])
    | (?P<text>[^\\()\[\]:]+|:)
    """,
    re.VERBOSE,
)
_BREAK = re.compile(r"\bBREAK\b")
_CLOSES = {")": "(", "]": "["}


@dataclass(frozen=True)
class EmphasisRun:
    """Text whose tokens have one weight; 1 is neutral, and it may be negative."""

    text: str
    weight: float


@dataclass(frozen=True)
class Break:
    """The word BREAK: the text after it starts a new chunk."""


def parse_emphasis(text: str, *, offset: int = 0) -> tuple[EmphasisRun | Break, ...]:
    """Read brackets and weights: each bracket multiplies the weight of its contents.

    Takes time in proportion to the text's length, however deep its brackets.

    Args:
        text: a prompt, or one part of a blend.
        offset: where `text` begins in the whole prompt, for the positions in errors.

    Returns:
        At least one item. Neighbouring runs differ in weight; text without any words in it, such
        as `(())`, is a single empty run of weight 1.

    Raises:
        PromptError: a weight that is no number, such as `1.2.3`, or a product of weights beyond
            ±`LARGEST_WEIGHT`.
    """
    result: list[EmphasisRun | Break] = []
    pieces: list[str] = []
    weight = 1.0
    for piece in _weighted(_marks(text, offset), offset):
        if (
            isinstance(piece, EmphasisRun)
            and pieces
            and isclose(piece.weight, weight, rel_tol=1e-9)
        ):
            pieces.append(piece.text)
            continue
        if pieces:
            result.append(EmphasisRun("".join(pieces), weight))
            pieces = []
        if isinstance(piece, EmphasisRun):
            pieces, weight = [piece.text], piece.weight
        else:
            result.append(piece)
    if pieces:
        result.append(EmphasisRun("".join(pieces), weight))
    return tuple(result) or (EmphasisRun("", 1.0),)


@dataclass
class _Open:
    """An opening bracket. A weight at its end replaces its factor."""

    kind: str
    factor: float


@dataclass(frozen=True)
class _Close:
    kind: str


@dataclass(frozen=True)
class _Text:
    text: str
    position: int


_Mark = _Open | _Close | _Text | Break


def _marks(text: str, offset: int) -> list[_Mark]:
    """Match the brackets; an unclosed one extends to the end."""
    marks: list[_Mark] = []
    open_brackets: dict[str, list[_Open]] = {"(": [], "[": []}
    for token in _TOKEN.finditer(text):
        whole, position = token.group(), token.start()
        if token["literal"]:
            marks.append(_Text(token["literal"], position))
        elif token["open"]:
            opening = _Open(whole, STRONGER if whole == "(" else WEAKER)
            open_brackets[whole].append(opening)
            marks.append(opening)
        elif token["weight"] and open_brackets["("]:
            weight = _number(token["weight"], token.start("weight") + offset)
            open_brackets["("].pop().factor = weight
            marks.append(_Close("("))
        elif token["close"] and open_brackets[_CLOSES[whole]]:
            open_brackets[_CLOSES[whole]].pop()
            marks.append(_Close(_CLOSES[whole]))
        elif not token["escape"]:
            marks.extend(_words(whole, position))
    return marks


def _words(text: str, position: int) -> Iterator[_Text | Break]:
    """Split at BREAK, and drop the white space around it."""
    found = list(_BREAK.finditer(text))
    ends = [0, *(match.end() for match in found)]
    starts = [*(match.start() for match in found), len(text)]
    for index, (start, end) in enumerate(zip(ends, starts, strict=True)):
        words = text[start:end]
        if index > 0:
            yield Break()
            words = words.lstrip()
        if index < len(found):
            words = words.rstrip()
        if words:
            yield _Text(words, position + start)


def _weighted(marks: list[_Mark], offset: int) -> Iterator[EmphasisRun | Break]:
    """Multiply the factors of all brackets around each text.

    Round brackets nest among themselves and so do square ones, but `(a [b) c]` may cross: hence
    a stack of products for either kind.
    """
    products = {"(": [1.0], "[": [1.0]}
    for mark in marks:
        if isinstance(mark, _Open):
            products[mark.kind].append(products[mark.kind][-1] * mark.factor)
        elif isinstance(mark, _Close):
            products[mark.kind].pop()
        elif isinstance(mark, Break):
            yield mark
        else:
            weight = products["("][-1] * products["["][-1]
            if not abs(weight) <= LARGEST_WEIGHT:  # a product of extremes may be NaN
                position = mark.position + offset
                raise PromptError(
                    f"the weight of {mark.text[:40]!r} at position {position} is {weight:.3g}, "
                    f"beyond ±{LARGEST_WEIGHT:g}",
                    position,
                )
            yield EmphasisRun(mark.text, weight)


def _number(written: str, position: int) -> float:
    try:
        return float(written)
    except ValueError:
        message = f"{written[:40]!r} at position {position} is not a number, so no weight"
        raise PromptError(message, position) from None
