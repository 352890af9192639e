r"""Prompt editing: `[from:to:when]`, `[to:when]`, `[from::when]` and `[one|other]`.

Source: AUTOMATIC1111's prompt parser, version 1.10 (`get_learned_conditioning_prompt_schedules`).
An editing bracket has balanced brackets inside; any other bracket is text, which `emphasis` reads
afterwards, and so are editing brackets in a text with a `|` outside of them.
Pure text, like the rest of the grammar; no step recurses, however deep the brackets.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from stable_diffusion.errors import PromptError

MAX_STAGES_LENGTH = 500_000
"""Characters of all stages of a prompt together."""

_TOKEN = re.compile(r"\\.|[^\\\[\]():|]+|[\[\]():|]|(?P<wrong>\\)")
_WHEN = re.compile(r"\s*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*")
_OPENS = {")": "(", "]": "["}


class Steps(NamedTuple):
    """The steps of a pass, and those of the pass before it, which `when` counts first."""

    own: int
    before: int = 0


_ANY = Steps(0)


@dataclass(frozen=True, eq=False)
class _Replaced:
    """One text up to a step, another one after it."""

    before: "_Pieces"
    after: "_Pieces"
    when: str

    def last_step(self, steps: Steps) -> int:
        """The last step of `before`, 0 to steps. A number with a point is a share of the steps."""
        when = float(self.when)
        share = "." in self.when
        last = (when - bool(steps.before)) * steps.own if share else when - steps.before
        return int(max(0.0, min(last, steps.own)))

    def at(self, step: int, steps: Steps) -> "_Pieces":
        return self.before if step <= self.last_step(steps) else self.after


@dataclass(frozen=True, eq=False)
class _Alternated:
    """Another text at every step, in turn."""

    options: tuple["_Pieces", ...]

    def at(self, step: int, steps: Steps) -> "_Pieces":  # noqa: ARG002
        return self.options[(step - 1) % len(self.options)]


_Piece = str | _Replaced | _Alternated
_Pieces = tuple[_Piece, ...]


@dataclass(frozen=True)
class EditedText:
    """A text that may change from step to step.

    Attributes:
        text: as it was written.
    """

    text: str
    _pieces: _Pieces = field(compare=False, repr=False)

    @property
    def changes(self) -> bool:
        """Whether it has any editing."""
        return any(not isinstance(piece, str) for piece in self._pieces)

    def stages(self, steps: int, before: int = 0) -> tuple[tuple[int, str], ...]:
        """The last step of each text, from 1 to steps, and the text; neighbours differ.

        Args:
            steps: sampling steps, of which img2img may execute the first only.
            before: see `schedules_of`.

        Raises:
            PromptError: the texts of all stages are longer than `MAX_STAGES_LENGTH`.
        """
        counted = Steps(steps, before)
        ends = sorted(self._ends(counted))
        if len(ends) > 1 and len(ends) * len(self.text) > MAX_STAGES_LENGTH:
            raise PromptError(
                f"it is edited at {len(ends)} steps and has {len(self.text)} characters; the "
                f"product is limited to {MAX_STAGES_LENGTH}: shorten it, or take fewer steps"
            )
        stages: list[tuple[int, str]] = []
        for end in ends:
            text = self._at(end, counted)
            if stages and stages[-1][1] == text:
                stages.pop()
            stages.append((end, text))
        return tuple(stages)

    def _at(self, step: int, steps: Steps) -> str:
        return "".join(piece for piece in self._walk(step, steps) if isinstance(piece, str))

    def _ends(self, steps: Steps) -> set[int]:
        """The steps after which the text may change, and the last one."""
        ends = {steps.own}
        for piece in self._walk():
            if isinstance(piece, _Alternated):
                return set(range(1, steps.own + 1))
            if isinstance(piece, _Replaced):
                ends.add(piece.last_step(steps))
        return ends - {0}

    def _walk(self, step: int = 0, steps: Steps = _ANY) -> Iterator[_Piece]:
        """All pieces, inner ones too; with a step, those of that step."""
        stack = [iter(self._pieces)]
        while stack:
            piece = next(stack[-1], None)
            if piece is None:
                stack.pop()
                continue
            yield piece
            if isinstance(piece, str):
                continue
            if step:
                stack.append(iter(piece.at(step, steps)))
            elif isinstance(piece, _Replaced):
                stack += [iter(piece.before), iter(piece.after)]
            else:
                stack += map(iter, piece.options)


@dataclass
class _Open:
    """An opening bracket: where it is among the pieces, and the `:` and `|` directly inside."""

    kind: str
    start: int
    separators: list[int] = field(default_factory=list)


def parse_editing(text: str) -> EditedText:
    """Find the editing brackets of a text; takes time in proportion to its length."""
    pieces: list[_Piece] = []
    opened: list[_Open] = []
    loose_bars = 0
    for token in _TOKEN.finditer(text):
        if token["wrong"]:
            return EditedText(text, (text,))
        whole = token.group()
        pieces.append(whole)
        if whole in ("(", "["):
            opened.append(_Open(whole, len(pieces) - 1))
        elif whole in (":", "|"):
            loose_bars += whole == "|"
            if opened:
                opened[-1].separators.append(len(pieces) - 1)
        elif whole in _OPENS and opened:
            bracket = opened.pop()
            edited = _edited(pieces, bracket) if whole == "]" else None
            if bracket.kind == _OPENS[whole] and edited is not None:
                loose_bars -= sum(pieces[index] == "|" for index in bracket.separators)
                del pieces[bracket.start :]
                pieces.append(edited)
            elif bracket.kind != _OPENS[whole] or not _is_emphasis(pieces, bracket):
                opened.clear()  # what encloses a stray bracket is stray, too
    return EditedText(text, (text,) if loose_bars else tuple(pieces))


def _is_emphasis(pieces: list[_Piece], bracket: _Open) -> bool:
    """Whether a closed bracket without editing is balanced text for those around it."""
    separators = [pieces[index] for index in bracket.separators]
    return not separators or (bracket.kind == "(" and separators == [":"])


def _edited(pieces: list[_Piece], bracket: _Open) -> _Replaced | _Alternated | None:
    """What the last pieces mean, from an opening bracket to its closing one; None: no editing."""
    colons = [index for index in bracket.separators if pieces[index] == ":"]
    if bracket.separators and not colons:
        return _Alternated(tuple(_parts(pieces, bracket.start, bracket.separators)))
    parts = _parts(pieces, bracket.start, colons)
    when = _when(parts[-1])
    if not 1 <= len(colons) <= 2 or when is None:
        return None
    # a `|` in here is text, as the documentation of AUTOMATIC1111's function has it
    return _Replaced(parts[0] if len(colons) == 2 else (), parts[-2], when)


def _parts(pieces: list[_Piece], start: int, separators: list[int]) -> list[_Pieces]:
    bounds = [start, *separators, len(pieces) - 1]
    return [tuple(pieces[begin + 1 : end]) for begin, end in pairwise(bounds)]


def _when(part: _Pieces) -> str | None:
    number = _WHEN.fullmatch(part[0]) if len(part) == 1 and isinstance(part[0], str) else None
    return number[1] if number else None
