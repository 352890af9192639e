"""Infotext → fields: what AUTOMATIC1111 and this service write into a picture about its making."""

import json
import re

_SETTING = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
_SIZE = re.compile(r"(\d{1,6})x(\d{1,6})")
_NEGATIVE = "Negative prompt:"
_LEAST_SETTINGS = 3
"""With fewer settings the last line is a part of the prompt."""


def fields_of_infotext(text: str) -> dict[str, str]:
    """The parts of an infotext by A1111's names: `Prompt`, `Negative prompt`, `Steps`, …

    A size `512x768` under a name is two fields, such as `Size-1` and `Size-2`. What the text leaves
    out and A1111 takes for granted is added: `Clip skip` and `Schedule type`.

    Args:
        text: prompt, a line `Negative prompt: …`, and one last line of settings; empty: no fields.
    """
    if not text.strip():
        return {}
    *lines, last = text.strip().split("\n")
    settings = _SETTING.findall(last)
    if len(settings) < _LEAST_SETTINGS:
        lines, settings = [*lines, last], []
    prompt, found_negative, negative = "\n".join(lines).partition(_NEGATIVE)
    fields = {
        "Prompt": prompt.strip(),
        "Negative prompt": negative.strip() if found_negative else "",
    }
    for name, written in settings:
        value = _unquoted(written.strip())
        if size := _SIZE.fullmatch(value):
            fields[f"{name}-1"], fields[f"{name}-2"] = size.groups()
        else:
            fields[name] = value
    return fields | {
        name: value
        for name, value in (("Clip skip", "1"), ("Schedule type", "Automatic"))
        if name not in fields
    }


def _unquoted(value: str) -> str:
    """A value that JSON has quoted because it has a comma or a colon in it."""
    if not value.startswith('"'):
        return value
    try:
        return str(json.loads(value))
    except ValueError:
        return value
