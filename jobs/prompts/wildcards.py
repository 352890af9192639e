"""Wildcards: texts drawn by a seed, from choices in a prompt and from wildcard files."""

import difflib
import random
from bisect import bisect
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from jobs.errors import WildcardError
from jobs.parameters.types import MAX_PROMPT
from jobs.prompts.wildcard_files import WildcardFiles, file_fault, read_wildcard_file
from jobs.prompts.wildcard_text import (
    Choice,
    Option,
    Reference,
    Template,
    read_template,
    references,
)

MAX_DEPTH = 8
"""How many files may name one another in a row."""
MAX_DRAWS = 10_000
_SHOWN = 40

PromptField = Literal["prompt", "negative_prompt", "hires_prompt", "hires_negative_prompt"]
"""A field whose text is drawn."""
_GENERATORS: dict[PromptField, str] = {
    "negative_prompt": "negative",
    "hires_prompt": "hires",
    "hires_negative_prompt": "hires negative",
}
FIRST_PASS: dict[PromptField, PromptField] = {
    "hires_prompt": "prompt",
    "hires_negative_prompt": "negative_prompt",
}
"""The prompts of a second pass, each with that of the first whose draws it repeats."""


class Wildcards:
    """Draws texts. Each file is read once, when it is needed.

    Args:
        files: where the names are looked up.
    """

    def __init__(self, files: WildcardFiles) -> None:
        self._files = files
        self._entries: dict[str, tuple[Option, ...]] = {}
        self._depths: dict[str, int] = {}

    @cached_property
    def _paths(self) -> dict[str, Path]:
        return self._files.paths()

    def expand(self, text: str, seed: int, *, field: PromptField, first: str = "") -> str:
        """A text with its wildcards replaced by what the seed draws.

        Its choices and names are drawn from left to right, each before what is in it, by
        `random.Random(seed)`, whose `random()` is the same on every machine. The negative prompt
        has the generator `random.Random(f"{seed} negative")`: the same whatever the prompt draws.

        Args:
            first: for a prompt of a second pass, that of the first: a wildcard that both have is
                drawn once, the first one of it for the first, and so on. What it alone has is drawn
                by `random.Random(f"{seed} hires")`, or `f"{seed} hires negative"`.

        Raises:
            WildcardError: the text or a file that it needs is at fault, whatever is drawn; or
                what is drawn is too long.
        """
        template = self._template(text)
        repeated: dict[Reference | Choice, deque[str]] = {}
        if field in FIRST_PASS and first:
            drawing = self._drawing(seed, FIRST_PASS[field])
            drawing.text(self._template(first), repeated)
        return self._drawing(seed, field).text(template, repeated=repeated)

    def _template(self, text: str) -> Template:
        template = read_template(text)
        for name in references(template):
            self._check(name, ())
        return template

    def _drawing(self, seed: int, field: PromptField) -> "_Drawing":
        named = _GENERATORS.get(field)
        return _Drawing(random.Random(f"{seed} {named}" if named else seed), self._of)

    def _check(self, name: str, path: tuple[str, ...]) -> int:
        """How many files in a row a name needs. Raises WildcardError: they have no end."""
        if name in path:
            circle = " → ".join([*path[path.index(name) :], name])
            raise file_fault(name, "endless", f"names itself: {circle}", "files without a circle")
        if len(path) >= MAX_DEPTH:
            raise _too_deep(path[0])
        if name not in self._depths:
            inner = (each for entry in self._of(name) for each in references(entry.template))
            deepest = max((self._check(each, (*path, name)) for each in set(inner)), default=0)
            self._depths[name] = deepest + 1
        if len(path) + self._depths[name] > MAX_DEPTH:
            raise _too_deep((*path, name)[0])
        return self._depths[name]

    def _of(self, name: str) -> tuple[Option, ...]:
        """The entries of a file. Raises WildcardError."""
        if name not in self._entries:
            self._entries[name] = tuple(read_wildcard_file(name, self._path(name)))
        return self._entries[name]

    def _path(self, name: str) -> Path:
        if name in self._paths:
            return self._paths[name]
        similar = difflib.get_close_matches(name, self._paths, n=1)
        shown = ", ".join([*self._paths][:_SHOWN]) + (", …" if len(self._paths) > _SHOWN else "")
        raise WildcardError(
            code="unknown_wildcard",
            value=f"__{name[:80]}__",
            problem=f"names the wildcard {name[:80]}, which is not installed",
            expected=(f"did you mean {similar[0]}? " if similar else "")
            + (f"one of: {shown}" if shown else "no wildcard: none is installed"),
        )


def _too_deep(name: str) -> WildcardError:
    expected = f"{MAX_DEPTH} files in a row at most"
    return file_fault(name, "too_deep", "leads from file to file too often", expected)


class _Drawing:
    """One text that is drawn."""

    def __init__(
        self, generator: random.Random, entries_of: Callable[[str], Sequence[Option]]
    ) -> None:
        self._generator = generator
        self._entries_of = entries_of
        self._draws = 0

    def text(
        self,
        template: Template,
        drawn: dict[Reference | Choice, deque[str]] | None = None,
        repeated: Mapping[Reference | Choice, deque[str]] = MappingProxyType({}),
    ) -> str:
        """Raises WildcardError: it becomes too long.

        Args:
            drawn: gets what each wildcard of the template itself becomes, in order.
            repeated: such texts, each of which is taken once in place of a draw.
        """
        parts: list[str] = []
        for part in template:
            if isinstance(part, str):
                parts.append(part)
                continue
            text = repeated[part].popleft() if repeated.get(part) else self._wildcard(part)
            parts.append(text)
            if drawn is not None:
                drawn.setdefault(part, deque()).append(text)
        text = "".join(parts)
        if len(text) > MAX_PROMPT or self._draws > MAX_DRAWS:
            raise WildcardError(
                code="too_long",
                value=text[:80],
                problem="is too long with what its wildcards draw",
                expected=f"up to {MAX_PROMPT} characters and {MAX_DRAWS} draws",
            )
        return text

    def _wildcard(self, wildcard: Reference | Choice) -> str:
        match wildcard:
            case Reference(name):
                return self._drawn(self._entries_of(name), 1)
            case Choice(count, options):
                return self._drawn(options, count)

    def _drawn(self, options: Sequence[Option], count: int) -> str:
        """`count` different options; each is drawn by its weight among those that are left."""
        left = list(options)
        texts: list[str] = []
        for _ in range(count):
            self._draws += 1
            sums = list(accumulate(option.weight for option in left))
            index = min(bisect(sums, self._generator.random() * sums[-1]), len(left) - 1)
            texts.append(self.text(left.pop(index).template).strip())
        return ", ".join(texts)
