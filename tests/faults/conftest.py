"""A whole service on parts that can be killed, frozen and filled one by one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.valkey import Valkey
from tests.worker.conftest import Bench, bench_on


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    """A Valkey of the test's own, with its append-only file."""
    with Valkey(tmp_path / "valkey") as server:
        yield server


@pytest.fixture
def bench(valkey: Valkey, tmp_path: Path) -> Bench:
    """Records and pictures on that Valkey."""
    return bench_on(valkey.url, tmp_path)
