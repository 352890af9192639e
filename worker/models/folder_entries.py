"""What lies in a folder of models: one odd entry must not hide the others."""

from pathlib import Path


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
