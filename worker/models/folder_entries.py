"""What lies in a folder of models: one odd entry must not hide the others."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from jobs.names import plain_name

_DEEPEST = 5


def entries(folder: Path | None) -> list[Path]:
    """The visible entries of a folder by name; empty if it does not exist or cannot be read.

    Left out are names that are no Unicode text: no answer could contain them.
    """
    if folder is None:
        return []
    try:
        found = sorted(folder.iterdir())
    except OSError:
        return []
    return [path for path in found if not path.name.startswith(".") and _is_text(path.name)]


def walk(
    folder: Path,
    skipped: Collection[Path] = (),
    is_whole: Callable[[Path], bool] = lambda _path: False,
    above: tuple[Path, ...] = (),
) -> Iterator[Path]:
    """The files of a folder and of the folders below it, up to five levels deep.

    Args:
        skipped: folders that are left out.
        is_whole: whether a folder is one thing, yielded in place of what lies in it.
        above: the folders that contain this one, without links: a link to one of them is a loop.
    """
    try:
        above = (*above, folder.resolve())
    except (OSError, RuntimeError):
        return
    for path in entries(folder):
        if is_file(path) or is_whole(path):
            yield path
        elif len(above) <= _DEEPEST and path not in skipped and _leads_down(path, above):
            yield from walk(path, skipped, is_whole, above)


def _leads_down(path: Path, above: tuple[Path, ...]) -> bool:
    try:
        return path.is_dir() and path.resolve() not in above
    except (OSError, RuntimeError):
        return False


def path_name(path: Path, folder: Path) -> str:
    """The name of a file by its path in a folder, without suffix: `style/ink`."""
    return plain_name(path.relative_to(folder).with_suffix("").as_posix())


def by_last_part(installed: Mapping[str, Path]) -> dict[str, Path]:
    """The files by the last part of their names, `ink`; one that several have is none of theirs."""
    lasts = [(name.rpartition("/")[2], path) for name, path in installed.items()]
    counts = Counter(last.lower() for last, _ in lasts)
    return {
        last: path for last, path in lasts if counts[last.lower()] == 1 and last not in installed
    }


def is_file(path: Path) -> bool:
    """Whether a path is a regular file; False also where it cannot be found out.

    `Path.is_file` raises for a folder that may not be read, or a link to a name that is too long.
    """
    try:
        return path.is_file()
    except OSError:
        return False


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
