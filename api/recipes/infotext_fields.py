"""Infotext → fields: what AUTOMATIC1111 and this service write into a picture about its making."""

import json
import re
from dataclasses import dataclass
from itertools import islice

MAX_SETTINGS = 500
"""Settings of an infotext that are read; A1111 writes about 30."""
# the bounds keep a long line without settings from being searched again and again
_SETTING = re.compile(r'(?<![\w \-/])\s{0,4}(\w[\w \-/]{1,80}):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
_SIZE = re.compile(r"(\d{1,6})x(\d{1,6})")
_NEGATIVE = re.compile(r"^[ \t]{0,80}Negative prompt:", re.MULTILINE)
_LEAST_SETTINGS = 3
"""With fewer settings the last line is a part of the prompt."""


@dataclass(frozen=True)
class Infotext:
    """The parts of an infotext.

    Attributes:
        settings: those of the last line, by A1111's names, as they are written.
    """

    prompt: str
    negative_prompt: str
    settings: dict[str, str]


def split_infotext(text: str) -> Infotext:
    """The parts of an infotext.

    Args:
        text: prompt, a line `Negative prompt: …`, and one last line of settings.
    """
    *lines, last = text.strip().split("\n")
    settings = [match.groups() for match in islice(_SETTING.finditer(last), MAX_SETTINGS)]
    if len(settings) < _LEAST_SETTINGS:
        lines, settings = [*lines, last], []
    prompt, *negative = _NEGATIVE.split("\n".join(lines), maxsplit=1)
    return Infotext(
        prompt.strip(),
        "".join(negative).strip(),
        {name: _unquoted(written.strip()) for name, written in settings},
    )


def fields_of_infotext(text: str) -> dict[str, str]:
    """The parts of an infotext by A1111's names: `Prompt`, `Negative prompt`, `Steps`, …

    A size `512x768` under a name is two fields, such as `Size-1` and `Size-2`. What the text leaves
    out and A1111 takes for granted is added: `Clip skip` and `Schedule type`.

    Args:
        text: as of `split_infotext`; empty: no fields.
    """
    if not text.strip():
        return {}
    parts = split_infotext(text)
    return {
        "Prompt": parts.prompt,
        "Negative prompt": parts.negative_prompt,
        **sizes_split(parts.settings),
    } | {
        name: value
        for name, value in (("Clip skip", "1"), ("Schedule type", "Automatic"))
        if name not in parts.settings
    }


def sizes_split(settings: dict[str, str]) -> dict[str, str]:
    """The settings with two in place of each size: `Size: 512x768` is `Size-1` and `Size-2`."""
    split: dict[str, str] = {}
    for name, value in settings.items():
        if size := _SIZE.fullmatch(value):
            split[f"{name}-1"], split[f"{name}-2"] = size.groups()
        else:
            split[name] = value
    return split


def _unquoted(value: str) -> str:
    """A value that JSON has quoted because it has a comma or a colon in it."""
    if not value.startswith('"'):
        return value
    try:
        return str(json.loads(value))
    except ValueError:
        return value
