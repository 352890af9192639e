"""Reading a process's settings, for composition roots. A wrong setting is one line on stderr."""

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar, cast

from dotenv import dotenv_values
from pydantic import ValidationError, create_model
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

SECRETS_DIR = "/run/secrets"
"""Where Docker and Kubernetes put secrets: files named after the settings they hold."""

RENAMED = {
    "ANNOUNCE_SECONDS": "HEARTBEAT_INTERVAL",
    "COPIES_SIZE": "WEIGHT_CACHE_BYTES",
    "OPTIMIZED_WEIGHTS": "UNET_VRAM_BUDGET",
    "REMEMBERED_SECONDS": "TOMBSTONE_TTL",
    "STRAY_SECONDS": "ORPHAN_GRACE",
    "SYNCHRONOUS_SECONDS": "SYNC_TIMEOUT",
    "TYPES": "JOB_TYPES",
    "WAKE_SECONDS": "RESEND_AFTER",
}
"""Deprecated name of a setting → its name. The next version will not read the deprecated names."""

Settings = TypeVar("Settings", bound=BaseSettings)

_warned: set[str] = set()


def read_settings(kind: type[Settings]) -> Settings:
    """Read the settings from the environment, `.env`, and the files of SECRETS_DIR, in this order.

    A deprecated name sets a setting that is not set under its own name. Each deprecated name is
    one warning a process. AWS_* variables, which S3's client reads from the environment by itself,
    may be in `.env` too.

    Raises:
        SystemExit: with one line that names every invalid variable.
    """
    for name, value in dotenv_values(".env").items():
        if name.startswith("AWS_") and value:
            os.environ.setdefault(name, value)
    secrets_dir = Path(os.environ.get("SECRETS_DIR") or SECRETS_DIR)
    secrets = secrets_dir if secrets_dir.is_dir() else None
    values, warnings = _deprecated(kind, secrets)
    try:
        settings = kind(_secrets_dir=secrets, **{new: value for new, (_, value) in values.items()})
    except ValidationError as error:
        set_by = {new: old for new, (old, _) in values.items()}
        faults = [_described(kind, fault, set_by) for fault in error.errors(include_url=False)]
        sys.exit(f"error: wrong settings: {'; '.join(faults)}")
    for old, text in warnings.items():
        if old not in _warned:
            _warned.add(old)
            _warn(text, as_json=getattr(settings, "log_format", "") == "json")
    return settings


def _deprecated(
    kind: type[BaseSettings], secrets: Path | None
) -> tuple[dict[str, tuple[str, Any]], dict[str, str]]:
    """What deprecated names set: field → (deprecated name, value); and a warning for each name."""
    fields: dict[str, Any] = {
        name.lower(): (str | None, None)
        for old, new in RENAMED.items()
        if new.lower() in kind.model_fields
        for name in (old, new)
    }
    as_written = cast(type[BaseSettings], create_model("Given", __base__=_AsWritten, **fields))
    given = as_written(_secrets_dir=secrets).model_dump()
    values: dict[str, tuple[str, Any]] = {}
    warnings: dict[str, str] = {}
    for old, new in RENAMED.items():
        value = given.get(old.lower())
        if value is None:
            continue
        if given[new.lower()] is None:
            values[new.lower()] = (old, value)
            effect = "the next version will ignore the old name"
        else:
            effect = f"both are set, so {old} is ignored"
        warnings[old] = f"the setting {old} is now called {new}; {effect}"
    return values, warnings


class _AsWritten(BaseSettings):
    """Some variables as text, from the same sources as the settings."""

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore")


def _described(kind: type[BaseSettings], fault: ErrorDetails, set_by: dict[str, str]) -> str:
    """One invalid variable, and why it is; a secret's value is left out."""
    if not fault["loc"]:  # several that contradict each other: the message names them
        return fault["msg"].removeprefix("Value error, ")
    name = str(fault["loc"][0])
    secret = name in kind.model_fields and not kind.model_fields[name].repr
    value = "" if secret else f"={fault['input']!r}"
    return f"{set_by.get(name, name.upper())}{value}: {fault['msg'].removeprefix('Value error, ')}"


def _warn(text: str, *, as_json: bool) -> None:
    """Write a warning in the form of the log, which is not configured yet."""
    if as_json:
        now = datetime.now(UTC).isoformat()
        text = json.dumps({"timestamp": now, "level": "warning", "event": text})
    else:
        text = f"warning: {text}"
    sys.stderr.write(f"{text}\n")
