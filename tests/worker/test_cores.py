"""How long OpenMP threads spin while they wait."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = """
import ctypes, sys
from worker.cores import limit_openmp_spinning
limit_openmp_spinning()
ctypes.CDLL(sys.argv[1])
"""


@pytest.fixture(scope="module")
def openmp() -> Path:
    """The OpenMP that PyTorch loads when it is imported, in seconds; alone it takes none."""
    libraries = list(Path(torch.__file__).parent.glob("lib/libgomp*"))
    if not libraries:
        pytest.skip("this PyTorch uses another OpenMP")
    return libraries[0]


def openmp_environment(openmp: Path, **environment: str) -> str:
    """What OpenMP prints of its settings when it is loaded."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_"))}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(openmp)],
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
    openmp: Path, environment: dict[str, str], spin_count: str
) -> None:
    shown = openmp_environment(openmp, **environment)
    assert f"GOMP_SPINCOUNT = '{spin_count}'" in shown
