"""A real service with a small engine: Valkey, a worker and the API, each in its own process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sd_client import Client
from tests.client.scripted import Scripted
from tests.faults.api import running_api
from tests.faults.valkey import Valkey
from tests.worker.conftest import bench_on
from tests.worker.processes import worker


@pytest.fixture(scope="session")
def small_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its URL. Each evaluation of its engine takes 0.1 s.

    No test lets a lease end: a worker that gets no processor for two seconds keeps its jobs.
    """
    folder: Path = tmp_path_factory.mktemp("small_service")
    with Valkey(folder / "valkey") as valkey:
        bench = bench_on(valkey.url, folder)
        with (
            worker(bench, valkey.url, CONCURRENCY="2", LEASE_SECONDS="60"),
            running_api(bench, valkey.url) as api,
        ):
            yield api.url


@pytest.fixture
def client(small_service: str) -> Iterator[Client]:
    with Client(small_service, api_key="") as client:
        yield client


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    """A server with answers that the test sets."""
    with Scripted() as server:
        yield server
