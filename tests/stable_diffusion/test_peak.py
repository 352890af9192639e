"""Loading holds a model once: the peak of a process that loads a full-size one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.checkpoints import random_checkpoint
from stable_diffusion.families.family import Family
from stable_diffusion.families.sd1 import SD1
from stable_diffusion.families.sdxl import BASE

_REPOSITORY = Path(__file__).parents[2]
MOST = 1.15


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_at_its_peak_loading_takes_little_more_than_the_model(tmp_path: Path) -> None:
    file = random_checkpoint(tmp_path / "model.safetensors", 1)
    cache = tmp_path / "cache"
    # from the file; while its copy is written; from the copy
    for arguments in ([], [str(cache)], [str(cache)]):
        said = subprocess.run(
            [sys.executable, "-m", "benchmarks.peak", str(file), *arguments],
            cwd=_REPOSITORY,
            check=True,
            capture_output=True,
            text=True,
        )
        found = json.loads(said.stdout)
        assert found["bytes"] > 4 * 10**9
        assert found["peak"] <= MOST * found["bytes"]


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("family", "size", "most"), [(SD1, 512, 3), (BASE, 1024, 6)])
def test_optimized_draws_within_what_a_laptop_has(
    tmp_path: Path, family: Family, size: int, most: float
) -> None:
    file = random_checkpoint(tmp_path / "model.safetensors", 1, family)
    command = [sys.executable, "-m", "benchmarks.generation", str(file), str(tmp_path / "cache")]
    # the first process writes the weight cache, the second one finds it
    for _ in range(2):
        said = subprocess.run(
            [*command, "optimized", "--size", str(size), "--steps", "1"],
            cwd=_REPOSITORY,
            check=True,
            capture_output=True,
            text=True,
        )
        peak = json.loads(said.stdout)["peak"] / 10**9
        assert peak <= most, f"{peak:.2f} GB of process memory"
