"""The syntax of wildcards in a prompt: `__name__`, `{a|b}`, `{2$$a|b|c}`, `0.5::a`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from jobs.errors import WildcardError

NAME = r"[^\W_]+(?:(?:_|[.-]+)[^\W_]+)*"
"""Of a file or a folder; a name never holds the two underscores that end it in a prompt."""
MAX_BRACES = 16
_PATH = rf"{NAME}(?:/{NAME})*"
_TOKEN = re.compile(rf"\\[{{}}|_\\]|__(?P<name>{_PATH})__|[{{}}|]")
_COUNT = re.compile(r"\s*(\d{1,4})\$\$")
_WEIGHT = re.compile(r"\s*(\d{1,6}(?:\.\d{0,6})?|\.\d{1,6})::")


@dataclass(frozen=True)
class Reference:
    """An entry of the file of that name."""

    name: str


@dataclass(frozen=True)
class Option:
    """What may be drawn, and its weight among the others."""

    weight: float
    template: "Template"


@dataclass(frozen=True)
class Choice:
    """`count` different ones of the options."""

    count: int
    options: tuple[Option, ...]


Template = tuple[str | Reference | Choice, ...]
"""A text with wildcards, read."""


def read_template(text: str) -> Template:
    """Read a text. Raises WildcardError: its braces do not match, or a choice cannot be made."""
    reader = _Reader(text)
    template, _ = reader.template()
    return template


def read_entry(text: str) -> Option:
    """Read a line of a file, which may begin with its weight. Raises WildcardError."""
    weight, start = _weight(text, 0)
    return Option(weight, read_template(text[start:].strip()))


def references(template: Template) -> Iterator[str]:
    """The names in a template, those in its choices included."""
    for part in template:
        if isinstance(part, Reference):
            yield part.name
        elif isinstance(part, Choice):
            for option in part.options:
                yield from references(option.template)


def _weight(text: str, at: int) -> tuple[float, int]:
    """The weight that is written at a position, or 1, and where what it belongs to begins."""
    if written := _WEIGHT.match(text, at):
        return float(written[1]), written.end()
    return 1.0, at


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def template(self, opened: tuple[int, ...] = ()) -> tuple[Template, str]:
        """What follows, up to the end of the text or of an option, and the sign that ended it.

        Args:
            opened: where the braces around it open.
        """
        parts: list[str | Reference | Choice] = []
        while found := _TOKEN.search(self._text, self._at):
            parts.append(self._text[self._at : found.start()])
            self._at = found.end()
            sign = found[0]
            if sign.startswith("\\"):
                # the grammar of the prompt reads a pair of backslashes itself
                parts.append(sign if sign == r"\\" else sign[1])
            elif found["name"]:
                parts.append(Reference(found["name"]))
            elif sign == "{":
                parts.append(self._choice((*opened, found.start())))
            elif opened:
                return _joined(parts), sign
            elif sign == "}":
                raise _bad_braces(self._text, found.start(), "a } that no { opens")
            else:
                parts.append(sign)
        if opened:
            raise _bad_braces(self._text, opened[-1], "a { that no } closes")
        parts.append(self._text[self._at :])
        self._at = len(self._text)
        return _joined(parts), ""

    def _choice(self, opened: tuple[int, ...]) -> Choice:
        start = opened[-1]
        if len(opened) > MAX_BRACES:
            raise _bad_braces(self._text, start, f"more than {MAX_BRACES} braces in each other")
        count = 1
        if written := _COUNT.match(self._text, self._at):
            count, self._at = int(written[1]), written.end()
        options: list[Option] = []
        end = "|"
        while end == "|":
            weight, self._at = _weight(self._text, self._at)
            template, end = self.template(opened)
            options.append(Option(weight, template))
        drawable = sum(option.weight > 0 for option in options)
        if not 1 <= count <= drawable:
            problem = f"a choice of {count} among {drawable} with a weight above 0"
            raise _bad_braces(self._text, start, problem)
        return Choice(count, tuple(options))


def _joined(parts: list[str | Reference | Choice]) -> Template:
    return tuple(part for part in parts if part != "")


def _bad_braces(text: str, position: int, problem: str) -> WildcardError:
    return WildcardError(
        code="bad_wildcards",
        value=text[max(0, position - 20) : position + 60],
        problem=f"has {problem}",
        expected=r"choices such as {red|0.5::blue} or {2$$cat|dog|cow}; \{ and \} are braces "
        "themselves",
    )
