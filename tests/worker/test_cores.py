"""How the threads of a job wait for one another."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.heavy

WAITING = "from worker.cores import sleep_soon; sleep_soon(); import torch"


def shown(**environment: str) -> str:
    """What OpenMP says of itself when torch brings it."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_"))}
    done = subprocess.run(
        [sys.executable, "-c", WAITING],
        env={**clean, "OMP_DISPLAY_ENV": "verbose", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stderr


@pytest.mark.parametrize(
    ("environment", "looks"),
    [
        ({}, "1000"),
        ({"GOMP_SPINCOUNT": "77"}, "77"),
        ({"OMP_WAIT_POLICY": "PASSIVE"}, "0"),
    ],
)
def test_threads_sleep_soon_unless_somebody_knows_better(
    environment: dict[str, str], looks: str
) -> None:
    said = shown(**environment)
    if "GOMP_SPINCOUNT" not in said:
        pytest.skip("this PyTorch has another OpenMP")
    assert f"GOMP_SPINCOUNT = '{looks}'" in said
