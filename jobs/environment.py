"""Reading a process's settings, for composition roots: a wrong one is told in one line."""

import os
import sys
from pathlib import Path
from typing import TypeVar

from dotenv import dotenv_values
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings

SECRETS_DIR = "/run/secrets"
"""Where Docker and Kubernetes put secrets: files named after the settings they hold."""

Settings = TypeVar("Settings", bound=BaseSettings)


def read_settings(kind: type[Settings]) -> Settings:
    """The settings from the environment, `.env`, and the files of SECRETS_DIR, in this order.

    What S3's client reads from the environment by itself, AWS_*, may stand in `.env` as well.

    Raises:
        SystemExit: with one line that names every variable that cannot be.
    """
    for name, value in dotenv_values(".env").items():
        if name.startswith("AWS_") and value:
            os.environ.setdefault(name, value)
    secrets = Path(os.environ.get("SECRETS_DIR") or SECRETS_DIR)
    try:
        return kind(_secrets_dir=secrets if secrets.is_dir() else None)
    except ValidationError as error:
        faults = [_told(kind, fault) for fault in error.errors(include_url=False)]
        sys.exit(f"error: wrong settings: {'; '.join(faults)}")


def _told(kind: type[BaseSettings], fault: ErrorDetails) -> str:
    """One variable that cannot be, and why; a secret's value is left out."""
    name = str(fault["loc"][0])
    secret = name in kind.model_fields and not kind.model_fields[name].repr
    value = "" if secret else f"={fault['input']!r}"
    return f"{name.upper()}{value}: {fault['msg'].removeprefix('Value error, ')}"
