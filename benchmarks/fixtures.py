"""A real Valkey, a real service with one worker, and a Celery worker with an empty task."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from jobs.errors import RecordsUnavailable
from launcher.interruption import Interruption
from launcher.service import Service
from launcher.settings import LauncherSettings
from launcher.stack import Stack
from launcher.valkey import free_port, start_valkey

KEY = "bench"


@contextmanager
def running_valkey(folder: Path) -> Iterator[str]:
    """Start a server; yields its URL."""
    valkey, url = start_valkey(folder / "valkey", discard)
    try:
        until(Redis.from_url(url).ping)
        yield url
    finally:
        valkey.terminate()
        time.sleep(1)
        valkey.kill()


@contextmanager
def running_service(folder: Path, broker: str) -> Iterator[str]:
    """Start a service of one worker with one slot and the tiny model; yields its URL."""
    with running_stack(folder, broker, {"TORCH_THREADS": "1"}) as stack:
        yield stack.url


@contextmanager
def running_stack(folder: Path, broker: str, environment: Mapping[str, str]) -> Iterator[Stack]:
    """Start a service of one worker with one slot, with further variables of the environment."""
    settings = LauncherSettings(
        api_host="127.0.0.1",
        port=free_port(),
        data_dir=folder,
        workers=1,
        celery_broker_url=broker,
        celery_result_backend=broker,
    )
    usual = {
        "API_KEYS": KEY,
        "DEFAULT_MODEL": "tiny",
        "CONCURRENCY": "1",
        "RATE_LIMIT": "1000000/second",
        "MAX_WAITING_PER_KEY": "0",
        "MAX_BYTES_PER_KEY": "0",
        "MAX_WAITING": "0",
        "OUTPUTS": str(folder / "outputs"),
    }
    with Stack(settings, folder, Interruption(), discard, {**usual, **environment}) as stack:
        stack.start()
        yield stack


@contextmanager
def noop_worker(broker: str) -> Iterator[Any]:
    """Start a worker for the empty task; yields the task."""
    environment = {"CELERY_BROKER_URL": broker, "CELERY_RESULT_BACKEND": broker}
    os.environ |= environment
    from benchmarks.noop import QUEUE, noop  # noqa: PLC0415 - importing it reads the environment

    command = [sys.executable, "-m", "celery", "-A", "benchmarks.noop", "worker", "-Q", QUEUE]
    command += ["--loglevel=error", "--without-gossip", "--without-mingle", "--hostname=noop@%h"]
    service = Service("noop", command, output=discard, environment=environment)
    task: Any = noop
    try:
        task.delay().get(timeout=60)
        yield task
    finally:
        service.terminate()
        time.sleep(1)
        service.kill()


def until(condition: Callable[[], object], timeout: float = 300.0, *, pause: float = 0.001) -> None:
    """Poll until the condition is true; connection errors count as false. Raises TimeoutError."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            if condition():
                return
        except (OSError, RedisConnectionError, RecordsUnavailable):
            pass
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(pause)


def discard(_name: str, _line: str) -> None:
    """Drop the output of the processes."""
