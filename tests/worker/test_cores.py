"""How long OpenMP threads spin while they wait."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.heavy

SCRIPT = "from worker.cores import limit_openmp_spinning; limit_openmp_spinning(); import torch"


def openmp_environment(**environment: str) -> str:
    """What OpenMP prints of its settings when torch is imported."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_"))}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**clean, "OMP_DISPLAY_ENV": "verbose", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stderr


@pytest.mark.parametrize(
    ("environment", "spin_count"),
    [
        ({}, "1000"),
        ({"GOMP_SPINCOUNT": "77"}, "77"),
        ({"OMP_WAIT_POLICY": "PASSIVE"}, "0"),
    ],
)
def test_openmp_spins_briefly_unless_the_user_sets_otherwise(
    environment: dict[str, str], spin_count: str
) -> None:
    shown = openmp_environment(**environment)
    if "GOMP_SPINCOUNT" not in shown:
        pytest.skip("this PyTorch uses another OpenMP")
    assert f"GOMP_SPINCOUNT = '{spin_count}'" in shown
