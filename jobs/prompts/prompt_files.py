"""Prompt files, which `from-file` names: one prompt a line, in a folder of the operator."""

from pathlib import Path
from typing import NoReturn

from pydantic import TypeAdapter, ValidationError

from jobs.errors import Fault, InvalidRequest
from jobs.limits import Limits
from jobs.parameters.types import Text
from jobs.prompts.lora_tags import NO_LORAS, AddedLoras
from stable_diffusion.errors import PromptError
from stable_diffusion.prompt.grammar import ParsedPrompt, PromptGrammar, read_prompt

FIELD = "from-file"
MAX_BYTES = 1024**2
_PROMPT = TypeAdapter[str](Text)


class PromptFiles:
    """The prompt files of one folder, which is listed anew each time.

    Args:
        folder: need not exist; None is an empty one.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def names(self) -> tuple[str, ...]:
        """The names a request may use, in order."""
        if self._folder is None or not self._folder.is_dir():
            return ()
        root = self._folder.resolve()
        return tuple(
            path.name
            for path in sorted(root.iterdir())
            # links inside the folder are allowed, links out of it are not
            if not path.name.startswith(".")
            and path.is_file()
            and path.resolve().is_relative_to(root)
        )

    def read(
        self, name: str, grammar: PromptGrammar = "native", loras: AddedLoras = NO_LORAS
    ) -> tuple[ParsedPrompt, ...]:
        """The prompts of a file, at least one; blank lines are left out.

        Args:
            grammar: how they are read.
            loras: what each of them gets besides.

        Raises:
            InvalidRequest: no such file, or its lines cannot be read as prompts.
        """
        lines = [(number, _text(name, number, line)) for number, line in self._lines(name)]
        return tuple(
            _parsed(name, number, loras.to(line, grammar), grammar) for number, line in lines
        )

    def lines(self, name: str) -> tuple[str, ...]:
        """The lines as they are written, at least one; blank ones are left out.

        Raises:
            InvalidRequest: no such file, or a line is no text of a prompt.
        """
        return tuple(_text(name, number, line) for number, line in self._lines(name))

    def _lines(self, name: str) -> list[tuple[int, str]]:
        """The lines that are not blank, with their numbers from 1."""
        installed = self.names()
        if self._folder is None or name not in installed:
            _refuse("unknown_prompt_file", name, "is no installed prompt file", _one_of(installed))
        with (self._folder / name).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            _refuse("too_long", name, "is too large", f"a file of up to {MAX_BYTES // 1024} KiB")
        try:
            lines = content.decode("utf-8-sig").splitlines()
        except UnicodeDecodeError:
            _refuse("invalid_characters", name, "is not UTF-8", "a text file in UTF-8")
        prompts = [
            (number, line.strip()) for number, line in enumerate(lines, start=1) if line.strip()
        ]
        if not prompts:
            _refuse("missing", name, "holds no prompt", "a file with one prompt a line")
        return prompts


def _parsed(name: str, number: int, line: str, grammar: PromptGrammar) -> ParsedPrompt:
    try:
        return read_prompt(line, grammar)
    except PromptError as error:
        _refuse("bad_prompt", name, f"line {number}: {error}", "prompts that can be read")


def _text(name: str, number: int, line: str) -> str:
    try:
        return _PROMPT.validate_python(line, context={"limits": Limits()})
    except ValidationError as error:
        wrong = error.errors()[0]["msg"]
        _refuse("bad_prompt", name, f"line {number}: {wrong}", "prompts that can be read")


def _one_of(names: tuple[str, ...]) -> str:
    listed = ", ".join(names) or "none is installed"
    return f"an installed prompt file's name ({listed}), or false"


def _refuse(code: str, name: str, problem: str, expected: str) -> NoReturn:
    fault = Fault(field=FIELD, code=code, value=name, problem=problem, expected=expected)
    raise InvalidRequest((fault,))
