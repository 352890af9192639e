"""Reads the container files with Compose itself."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from docs.generate import ROOT
from tests.containers.compose import compose_command, run

Read = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def read_compose() -> Read:
    """Reads a compose file with all profiles, includes and extends."""
    command = compose_command()
    if command is None:
        pytest.skip("no Compose 2 or newer: neither `docker compose` nor `docker-compose`")

    def read(*names: str, **environment: str) -> dict[str, Any]:
        files = [argument for name in names for argument in ("-f", name)]
        options = ["--env-file", "/dev/null", *files, "--profile", "*"]
        # without this machine's variables and engine
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "DOCKER_HOST": "unix:///none"} | (
            environment
        )
        arguments = ["env", "--ignore-environment", *(f"{k}={v}" for k, v in environment.items())]
        return json.loads(
            run([*arguments, *command, *options, "config", "--format", "json"], ROOT, {})
        )

    return read
