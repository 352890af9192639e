"""A real Valkey, a real service of one worker, and a Celery worker that does nothing."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from launcher.interruption import Interruption
from launcher.service import Service
from launcher.settings import LauncherSettings
from launcher.stack import Stack
from launcher.valkey import free_port, start_valkey

KEY = "bench"


@contextmanager
def running_valkey(folder: Path) -> Iterator[str]:
    """The URL of a server that answers."""
    valkey, url = start_valkey(folder / "valkey", silent)
    try:
        until(Redis.from_url(url).ping)
        yield url
    finally:
        valkey.terminate()
        time.sleep(1)
        valkey.kill()


@contextmanager
def running_service(folder: Path, broker: str) -> Iterator[str]:
    """The URL of a service of one worker with one slot and the tiny model."""
    settings = LauncherSettings(
        api_host="127.0.0.1",
        port=free_port(),
        data_dir=folder,
        workers=1,
        celery_broker_url=broker,
        celery_result_backend=broker,
    )
    own = {
        "API_KEYS": KEY,
        "DEFAULT_MODEL": "tiny",
        "CONCURRENCY": "1",
        "TORCH_THREADS": "1",
        "RATE_LIMIT": "1000000/second",
        "MAX_WAITING_PER_KEY": "0",
        "MAX_WAITING": "0",
        "OUTPUTS": str(folder / "outputs"),
    }
    with Stack(settings, folder, Interruption(), silent, own) as stack:
        stack.start()
        yield stack.url


@contextmanager
def noop_worker(broker: str) -> Iterator[Any]:
    """The task that does nothing, while a worker waits for it."""
    environment = {"CELERY_BROKER_URL": broker, "CELERY_RESULT_BACKEND": broker}
    os.environ |= environment
    from benchmarks.noop import QUEUE, noop  # noqa: PLC0415 - it reads where the broker is

    command = [sys.executable, "-m", "celery", "-A", "benchmarks.noop", "worker", "-Q", QUEUE]
    command += ["--loglevel=error", "--without-gossip", "--without-mingle", "--hostname=noop@%h"]
    service = Service("noop", command, output=silent, environment=environment)
    task: Any = noop
    try:
        task.delay().get(timeout=60)
        yield task
    finally:
        service.terminate()
        time.sleep(1)
        service.kill()


def until(true: Callable[[], object], most_seconds: float = 300.0, *, pause: float = 0.001) -> None:
    """Return when it is true, looked at with pauses; what cannot be reached yet is not."""
    deadline = time.monotonic() + most_seconds
    while True:
        try:
            if true():
                return
        except (OSError, RedisConnectionError):
            pass
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(pause)


def silent(_name: str, _line: str) -> None:
    """What the processes say is not what is measured."""
