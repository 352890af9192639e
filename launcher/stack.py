"""The whole service on this machine: Valkey, workers and API, started and stopped in order."""

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Self

import httpx
import redis

from launcher.errors import ModelMissing, NotReady, ServiceEnded
from launcher.interruption import Interruption
from launcher.restarter import Restarter
from launcher.service import Output, Service
from launcher.settings import LauncherSettings
from launcher.valkey import start_valkey

POLL_SECONDS = 0.2
STOP_SECONDS = 6.0
"""How long the API and the workers have to return their jobs to the queue, in seconds."""
VALKEY_STOP_SECONDS = 2.0

WORKER = [sys.executable, "-m", "worker"]
API = [sys.executable, "-m", "gunicorn", "--config", "python:api.gunicorn", "api.wsgi:app"]


class Stack:
    """Valkey (unless CELERY_BROKER_URL names a server), the workers and the API.

    Used in a `with` block, which stops every process at its end. Use it in the main thread: Linux
    sends the parent death signal when the thread that started a process ends.

    Args:
        restart_workers: restart workers that die once the service is ready; otherwise the death
            of a worker stops the service.
    """

    def __init__(
        self,
        settings: LauncherSettings,
        folder: Path,
        interruption: Interruption,
        output: Output,
        environment: Mapping[str, str] | None = None,
        *,
        restart_workers: bool = False,
    ) -> None:
        self.url = f"http://{_reachable(settings.api_host)}:{settings.port}"
        self._settings = settings
        self._folder = folder
        self._interruption = interruption
        self._output = output
        self._environment = environment or {}
        self._valkey: list[Service] = []
        self._workers: list[Restarter] = []
        self._api: list[Service] = []
        self._restart_workers = restart_workers
        self._ready_once = False
        # a client reads all certificates of authorities, which takes longer than the questions
        self._http = httpx.Client(timeout=5, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._output("launcher", "stopping")
        _end([*(worker.service for worker in self._workers), *self._api], STOP_SECONDS)
        _end(self._valkey, VALKEY_STOP_SECONDS)  # last: the workers return their jobs to it
        self._http.close()

    def start(self) -> None:
        """Start everything. Returns when the API knows of every worker.

        Raises ServiceEnded, ModelMissing, NotReady or Interrupted.
        """
        broker = self._settings.celery_broker_url or self._start_valkey()
        environment = {
            **self._environment,
            "API_HOST": self._settings.api_host,
            "PORT": str(self._settings.port),
            "DATA_DIR": str(self._folder),
            "CELERY_BROKER_URL": broker,
            "CELERY_RESULT_BACKEND": self._settings.celery_result_backend or broker,
            "WORKERS": str(self._settings.workers),
        }
        for number, cores in enumerate(shares_of_cores(self._settings.workers), start=1):
            start = partial(self._worker, f"worker-{number}", environment, cores)
            self._workers.append(Restarter(start(), start, output=self._output))
        self._api.append(Service("api", API, output=self._output, environment=environment))
        self._wait_for("the service", self._ready)
        self._ready_once = True

    @property
    def worker_pids(self) -> tuple[int, ...]:
        """The process ids of the workers that run now."""
        return tuple(worker.service.pid for worker in self._workers)

    def pause(self, seconds: float = POLL_SECONDS) -> None:
        """Sleep; raises ServiceEnded if a process has died, or Interrupted.

        Restarts no worker that dies before the service was ready: a wrong setting would kill the
        next one too.
        """
        self._interruption.pause(seconds)
        needed = [*self._valkey, *self._api]
        if self._restart_workers and self._ready_once:
            for worker in self._workers:
                worker.check()
        else:
            needed += [worker.service for worker in self._workers]
        for service in needed:
            if not service.running():
                raise ServiceEnded(service.exit_message())

    def _worker(self, name: str, environment: Mapping[str, str], cores: set[int]) -> Service:
        return Service(
            name,
            [*WORKER, "--hostname", f"{name}@%h"],
            output=self._output,
            environment=environment,
            cores=cores,
        )

    def _start_valkey(self) -> str:
        service, url = start_valkey(
            self._folder / "valkey", self._output, max_memory=self._settings.valkey_max_memory
        )
        self._valkey.append(service)
        self._wait_for("Valkey", lambda: _answers(url))
        return url

    def _ready(self) -> bool:
        try:
            answer = self._http.get(f"{self.url}/readyz")
        except httpx.TransportError:
            return False
        facts = answer.json()
        if {"records", "store", "workers"}.intersection(facts.get("missing", ())):
            return False  # not for `types`: the data folder may know types of earlier workers
        if not facts["default_model_installed"]:
            raise ModelMissing(
                f"the default model {facts['default_model']!r} is not installed; installed: "
                f"{', '.join(facts['models']) or 'none'}. Put its file into the models folder, or "
                "choose another with DEFAULT_MODEL=..."
            )
        return facts["workers"] >= self._settings.workers

    def _wait_for(self, what: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + self._settings.ready_timeout
        while not ready():
            if time.monotonic() > deadline:
                seconds = round(self._settings.ready_timeout)
                raise NotReady(f"{what} is not ready after {seconds} seconds")
            self.pause()


def shares_of_cores(workers: int) -> list[set[int]]:
    """The cores of each worker: an equal share, or all cores when there are fewer than workers."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < workers:
        return [set(cores)] * workers
    return [set(cores[number::workers]) for number in range(workers)]


def _end(services: Sequence[Service], seconds: float) -> None:
    """Send SIGTERM to all services, and kill those that still run after so many seconds."""
    for service in services:
        service.terminate()
    deadline = time.monotonic() + seconds
    while any(service.running() for service in services) and time.monotonic() < deadline:
        time.sleep(0.05)
    for service in services:
        service.kill()


def _answers(url: str) -> bool:
    try:
        with redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def _reachable(host: str) -> str:
    """An address at which this machine reaches a listener on `host`."""
    if host in ("", "0.0.0.0"):  # noqa: S104  compared, not bound
        return "127.0.0.1"
    if host == "::":
        return "[::1]"
    return f"[{host}]" if ":" in host else host
