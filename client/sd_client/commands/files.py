"""Under which names `sd` saves pictures.

With -o the user has named the files, and those of that name are replaced. Without it a name is
made, and no file that is there is touched.
"""

import itertools
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from sd_client.errors import BadArgument
from sd_client.pictures import Picture, names_for, save_all

STDOUT = Path("-")
FORMATS = {".png": "png", ".jpg": "jpg", ".jpeg": "jpg"}
LONGEST_NAME = 40


def format_of(output: Path | None) -> str | None:
    """The format that the ending of -o asks for; None if it does not.

    Raises BadArgument: an ending of another format, or a folder that is not there.
    """
    if output is None or output == STDOUT or output.is_dir():
        return None
    if not output.parent.is_dir():
        raise BadArgument(f"-o {output}: there is no folder {output.parent}")
    ending = output.suffix.lower()
    if ending in (".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"):
        raise BadArgument(f"-o {output}: pictures are .png or .jpg")
    return FORMATS.get(ending)


def chosen_format(said: str | None, output: Path | None) -> str | None:
    """The format of `--format` and of -o. Raises BadArgument, also if they differ."""
    ending = format_of(output)
    if said and ending and said != ending:
        raise BadArgument(f"-o {output} and --format {said} ask for different formats")
    return said or ending


def save(pictures: Sequence[Picture], output: Path | None, prompt: str) -> list[Path]:
    """Save pictures; returns their files. Raises BadArgument, OSError."""
    if output == STDOUT:
        if len(pictures) > 1:
            raise BadArgument(f"-o - takes one picture, and there are {len(pictures)}")
        sys.stdout.buffer.write(pictures[0].data)
        sys.stdout.flush()
        return []
    if output is None or output.is_dir():
        folder = output or Path()
        return save_all(pictures, _free(pictures, folder / _name(prompt, pictures[0])))
    return save_all(pictures, output)


def _name(prompt: str, picture: Picture) -> str:
    words = re.sub(r"[^\w]+", "-", prompt.lower()).strip("-")[:LONGEST_NAME].strip("-")
    return f"{words or 'picture'}-{picture.seed}.{picture.format}"


def _free(pictures: Sequence[Picture], path: Path) -> Path:
    """That path, or with a number from 2: one under which nothing is replaced."""
    for number in itertools.count(2):
        if not any(os.path.lexists(name) for name in names_for(pictures, path)):
            return path
        path = path.with_name(f"{_name_without_number(path)}_{number}{path.suffix}")
    raise AssertionError("unreachable")


def _name_without_number(path: Path) -> str:
    return re.sub(r"_\d+$", "", path.stem)
