"""The names of the files that `sd` writes.

With -o the user names the files, and `sd` replaces existing ones. Without -o it makes a name from
the prompt that no existing file has.
"""

import itertools
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from sd_client.errors import BadArgument
from sd_client.pictures import EXTENSIONS, Picture, names_for, save_all

STDOUT = Path("-")
OTHERS = (".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".jxl")
"""Extensions of pictures that the service does not write."""
MAX_NAME_LENGTH = 40


def format_of(output: Path | None) -> str | None:
    """The format for the extension of -o; None without a known extension.

    Raises BadArgument: another format's extension, or a missing folder.
    """
    if output is None or output == STDOUT or output.is_dir():
        return None
    if not output.parent.is_dir():
        raise BadArgument(f"-o {output}: there is no folder {output.parent}")
    extension = output.suffix.lower()
    if extension in OTHERS:
        raise BadArgument(f"-o {output}: pictures are one of {', '.join(EXTENSIONS)}")
    return EXTENSIONS.get(extension)


def chosen_format(option: str | None, output: Path | None) -> str | None:
    """The format from `--format` or from -o. Raises BadArgument, also if they differ."""
    of_output = format_of(output)
    if option and of_output and option != of_output:
        raise BadArgument(f"-o {output} and --format {option} are different formats")
    return option or of_output


def save(pictures: Sequence[Picture], output: Path | None, prompt: str) -> list[Path]:
    """Save pictures, or write one to stdout; returns the files. Raises BadArgument, OSError."""
    if output == STDOUT:
        if len(pictures) > 1:
            raise BadArgument(f"-o - can write one picture, not {len(pictures)}")
        sys.stdout.buffer.write(pictures[0].data)
        sys.stdout.flush()
        return []
    if output is None or output.is_dir():
        folder = output or Path()
        return save_all(pictures, _free(pictures, folder / _name(prompt, pictures[0])))
    return save_all(pictures, output)


def _name(prompt: str, picture: Picture) -> str:
    words = re.sub(r"[^\w]+", "-", prompt.lower()).strip("-")[:MAX_NAME_LENGTH].strip("-")
    seed = "" if picture.seed is None else f"-{picture.seed}"
    return f"{words or 'picture'}{seed}.{picture.format}"


def _free(pictures: Sequence[Picture], path: Path) -> Path:
    """The path, or the path with a number from 2, so that no file exists there."""
    for number in itertools.count(2):
        if not any(os.path.lexists(name) for name in names_for(pictures, path)):
            return path
        path = path.with_name(f"{_name_without_number(path)}_{number}{path.suffix}")
    raise AssertionError("unreachable")


def _name_without_number(path: Path) -> str:
    return re.sub(r"_\d+$", "", path.stem)
