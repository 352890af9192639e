"""The files that wildcards are drawn from, one entry a line, in a folder of the operator."""

from pathlib import Path
from re import compile as regular_expression

from jobs.errors import WildcardError
from jobs.prompts.wildcard_text import NAME, Option, read_entry

MAX_BYTES = 1024**2
_NAME = regular_expression(NAME)


class WildcardFiles:
    """The wildcard files of one folder, which is listed anew each time.

    Args:
        folder: need not exist; None is an empty one.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def paths(self) -> dict[str, Path]:
        """The files by the name that a prompt uses, such as `animals/cats`, in order."""
        if self._folder is None or not self._folder.is_dir():
            return {}
        root = self._folder.resolve()
        found = {
            path.relative_to(root).with_suffix("").as_posix(): path
            for path in sorted(root.rglob("*.txt"))
            # links inside the folder are allowed, links out of it are not
            if path.is_file() and path.resolve().is_relative_to(root)
        }
        return {name: path for name, path in found.items() if _is_name(name)}

    def names(self) -> tuple[str, ...]:
        """The names that a prompt may use, in order."""
        return tuple(self.paths())


def _is_name(name: str) -> bool:
    return all(_NAME.fullmatch(part) for part in name.split("/"))


def read_wildcard_file(name: str, path: Path) -> list[Option]:
    """The entries of a file, at least one. Raises WildcardError."""
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        limit = f"a file of up to {MAX_BYTES // 1024} KiB"
        raise file_fault(name, "too_long", "is too large", limit)
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise file_fault(name, "not_utf8", "is not UTF-8", "a text file in UTF-8") from error
    entries: list[Option] = []
    for number, line in enumerate(map(str.strip, lines), start=1):
        if line and not line.startswith("#"):
            try:
                entries.append(read_entry(line))
            except WildcardError as error:
                said = f"line {number} {error.problem}"
                raise file_fault(name, "bad_wildcards", said, error.expected) from error
    if not any(entry.weight for entry in entries):
        raise file_fault(name, "empty_wildcard", "has no entry", "a file with one entry a line")
    return entries


def file_fault(name: str, code: str, problem: str, expected: str) -> WildcardError:
    """The error of a text that needs a file which is at fault."""
    return WildcardError(
        code=code,
        value=f"__{name}__",
        problem=f"needs the wildcard {name}, which {problem}",
        expected=expected,
    )
