"""Reading a process's settings, for composition roots: a wrong one is told in one line."""

import sys
from typing import TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings

Settings = TypeVar("Settings", bound=BaseSettings)


def read_settings(kind: type[Settings]) -> Settings:
    """The settings from the environment and `.env`.

    Raises:
        SystemExit: with one line that names every variable that cannot be.
    """
    try:
        return kind()
    except ValidationError as error:
        faults = [
            f"{str(fault['loc'][0]).upper()}={fault['input']!r}: {fault['msg']}"
            for fault in error.errors(include_url=False)
        ]
        sys.exit(f"error: wrong settings: {'; '.join(faults)}")
