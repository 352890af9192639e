"""Loading holds a model once: the peak of a process that loads a full-size one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.checkpoints import random_checkpoint

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
