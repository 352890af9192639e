"""gunicorn's own lines are in the form of all others."""

import json
import os
import socket
import subprocess
from pathlib import Path

import pytest

from launcher.stack import API

pytestmark = pytest.mark.service


def test_gunicorn_tells_in_json_that_its_port_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        environment = {"PORT": str(port), "LOG_FORMAT": "json", "DATA_DIR": str(tmp_path)}
        done = subprocess.run(
            API,
            env={**os.environ, **environment},
            check=False,
            capture_output=True,
            text=True,
            timeout=240,
        )
    assert done.returncode == 1
    lines = [json.loads(line) for line in (done.stdout + done.stderr).splitlines()]
    assert any(f"127.0.0.1', {port}" in line["event"] for line in lines), lines
    assert {line["logger"] for line in lines} == {"gunicorn.error"}
