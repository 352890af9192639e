"""Starts and ends real worker processes on a real queue."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.worker.conftest import Bench, until

REPOSITORY = Path(__file__).parents[2]
SHORT = {
    "LEASE_SECONDS": "2",
    "RENEW_SECONDS": "0.2",
    "REAP_SECONDS": "0.3",
    "RESEND_AFTER": "1",
    "HEARTBEAT_INTERVAL": "0.5",
    "SHUTDOWN_GRACE_SECONDS": "0",
    "SHUTDOWN_SECONDS": "100",
}


@dataclass
class WorkerHandle:
    """A worker process and its log."""

    process: subprocess.Popen[bytes]
    log: Path

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(120)

    def terminate(self) -> int:
        """SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(120)

    def metrics_port(self) -> int:
        """Where it serves its metrics; waits until it says so."""
        port = re.compile(r"metrics served.* port=(\d+)\n")
        until(lambda: port.search(self.log.read_text()))
        return int(port.findall(self.log.read_text())[0])

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)


@contextmanager
def started(
    bench: Bench, redis_url: str, app: str = "tests.worker.small_app", **settings: str
) -> Iterator[WorkerHandle]:
    """A worker process that is starting; killed at the end of the block if it still runs."""
    with started_in(REPOSITORY, bench, redis_url, app, settings) as handle:
        yield handle


@contextmanager
def started_in(
    repository: Path, bench: Bench, redis_url: str, app: str, settings: Mapping[str, str]
) -> Iterator[WorkerHandle]:
    """The same with the code that lies in another folder."""
    folder = bench.outputs.parent
    log = folder / f"worker-{len(list(folder.glob('worker-*')))}.log"
    environment = {
        **os.environ,
        **SHORT,
        "CELERY_BROKER_URL": redis_url,
        "DATA_DIR": str(folder),
        "DEFAULT_MODEL": "small",
        "CONCURRENCY": "1",
        "OMP_NUM_THREADS": "1",
        **settings,
    }
    command = [sys.executable, "-m", "celery", "-q", "-A", app, "worker", "-P", "threads"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--without-gossip", "--without-mingle", "--without-heartbeat"],
            cwd=repository,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    handle = WorkerHandle(process, log)
    try:
        yield handle
    finally:
        if process.poll() is None:
            handle.kill()


@contextmanager
def worker(
    bench: Bench, redis_url: str, app: str = "tests.worker.small_app", **settings: str
) -> Iterator[WorkerHandle]:
    """A worker that has announced itself; killed at the end of the block if it still runs."""
    with started(bench, redis_url, app, **settings) as handle:
        until(lambda: handle.process.poll() is not None or _announced(bench, handle))
        assert handle.process.poll() is None, handle.log.read_text()
        yield handle


def _announced(bench: Bench, handle: WorkerHandle) -> bool:
    own = f"-{handle.process.pid}-"
    return any(own in facts.worker_id for facts in bench.workers.alive())
