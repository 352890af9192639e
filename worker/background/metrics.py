"""What a worker measures, and the HTTP server from which Prometheus reads it.

Jobs are not counted by final state here, because a killed worker loses its counts. The records
count them (jobs.records.record_steps, jobs.records.claim_steps), and the API exports those counts.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from wsgiref.simple_server import WSGIServer

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    start_http_server,
)

from jobs.names import JobType

log = structlog.get_logger(__name__)

_PORTS_TRIED = 64
_RATE_SECONDS = 30.0
_SECONDS = (0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000)
PHASES = {"queued": "queued", "load": "loading", "sample": "sampling"}
"""The exported phases of a job's timings, and their label values."""


class WorkerMetrics:
    """The measurements of one process. Safe to share between threads."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._steps = Counter(
            "sd_worker_steps", "evaluations of the network", registry=self.registry
        )
        self._seconds = Histogram(
            "sd_worker_job_seconds",
            "seconds of a successful job, by phase",
            ["type", "phase"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._recent: deque[float] = deque()
        self._lock = threading.Lock()
        rate = Gauge(
            "sd_worker_steps_per_second",
            f"evaluations a second, over the last {_RATE_SECONDS:.0f} seconds",
            registry=self.registry,
        )
        rate.set_function(self.steps_per_second)
        ProcessCollector(registry=self.registry)

    def step(self) -> None:
        """Count an evaluation of the network."""
        self._steps.inc()
        with self._lock:
            self._recent.append(time.monotonic())
            self._forget_old()

    def job_done(self, job_type: JobType, timings: Mapping[str, float]) -> None:
        """Measure a job that has succeeded.

        Args:
            job_type: its type.
            timings: seconds by phase, as in `Result.timings`.
        """
        for phase, label in PHASES.items():
            if phase in timings:
                self._seconds.labels(job_type, label).observe(timings[phase])

    def steps_per_second(self) -> float:
        """Evaluations a second of all jobs together, over the last 30 seconds."""
        with self._lock:
            self._forget_old()
            return len(self._recent) / _RATE_SECONDS

    def add_gauge(self, name: str, description: str, read: Callable[[], float]) -> None:
        """Export a number that is read at every request."""
        Gauge(name, description, registry=self.registry).set_function(read)

    def serve(self, host: str, first_port: int) -> Callable[[], None]:
        """Serve GET /metrics from a thread, on the first free port from `first_port` on.

        Returns a function that ends it. Without a free port the worker runs on, without metrics.
        """
        for port in range(first_port, min(first_port + _PORTS_TRIED, 65_536)):
            try:
                server, thread = start_http_server(port, addr=host, registry=self.registry)
            except OSError as error:
                log.debug("metrics port is not free", port=port, reason=str(error))
                continue
            log.info("metrics served", host=host, port=port)

            def stop(server: WSGIServer = server, thread: threading.Thread = thread) -> None:
                server.shutdown()
                server.server_close()
                thread.join()

            return stop
        log.error("no port for the metrics is free", host=host, first=first_port)
        return lambda: None

    def _forget_old(self) -> None:
        while self._recent and self._recent[0] < time.monotonic() - _RATE_SECONDS:
            self._recent.popleft()
