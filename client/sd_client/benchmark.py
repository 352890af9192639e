"""Runs many jobs concurrently and collects their timings."""

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from sd_client.client import Client
from sd_client.errors import ClientError
from sd_client.job import Job
from sd_client.parameters import Parameters
from sd_client.status import Status

PHASES = ("queued", "load", "encode", "sample", "decode", "save")


@dataclass
class Report:
    """The measurements of one run.

    Attributes:
        wall: seconds from the first request to the end of the last job.
        seconds: of each job, from its request to its end as seen by the client.
        phases: seconds of each job, by phase.
        pictures: number of generated pictures.
        errors: number of jobs by error message.
    """

    wall: float = 0.0
    seconds: list[float] = field(default_factory=list[float])
    phases: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    pictures: int = 0
    errors: Counter[str] = field(default_factory=Counter[str])

    @property
    def done(self) -> int:
        """Number of successful jobs."""
        return len(self.seconds)

    @property
    def failed(self) -> int:
        """Number of other jobs."""
        return self.errors.total()

    @property
    def pictures_per_second(self) -> float:
        return self.pictures / self.wall if self.wall else 0.0

    def add(self, seconds: float, status: Status) -> None:
        """Add a successful job."""
        self.seconds.append(seconds)
        self.pictures += len(status.seeds)
        known = [phase for phase in PHASES if phase in status.timings]
        others = [phase for phase in status.timings if phase not in PHASES]
        for phase in known + others:
            self.phases.setdefault(phase, []).append(status.timings[phase])

    def as_json(self) -> dict[str, Any]:
        """The report as a JSON object; times in seconds."""
        return {
            "jobs": self.done,
            "failed": self.failed,
            "pictures": self.pictures,
            "seconds": round(self.wall, 3),
            "pictures_per_second": round(self.pictures_per_second, 4),
            "job": _percentiles(self.seconds),
            "phases": {phase: _percentiles(seconds) for phase, seconds in self.phases.items()},
            "errors": dict(self.errors),
        }


class Benchmark:
    """Runs jobs that differ only in their seed."""

    def __init__(self, client: Client, prompt: str, parameters: Parameters) -> None:
        self._client = client
        self._prompt = prompt
        self._parameters = parameters
        self._open: set[Job] = set()
        self._stopped = False
        self._lock = Lock()

    def one(self, seed: int) -> tuple[float, Status]:
        """Run one job. Returns its seconds and its final status. Raises ClientError."""
        began = time.monotonic()
        job = self._client.submit_generate(self._prompt, **{**self._parameters, "seed": seed})
        with self._lock:
            self._open.add(job)
            stopped = self._stopped
        try:
            if stopped:
                job.cancel()
            status = job.wait()
        except KeyboardInterrupt:
            job.cancel()
            raise
        else:
            return time.monotonic() - began, status
        finally:
            with self._lock:
                self._open.discard(job)

    def run(
        self, requests: int, concurrency: int, show: Callable[[int], object] = lambda _: None
    ) -> Report:
        """Run jobs; KeyboardInterrupt cancels the unfinished ones.

        Args:
            requests: number of jobs.
            concurrency: number of concurrent jobs.
            show: called with the number of ended jobs.
        """
        report = Report()
        began = time.monotonic()
        with ThreadPoolExecutor(concurrency) as pool:
            try:
                jobs = [pool.submit(self.one, seed) for seed in range(1, requests + 1)]
                for ended, job in enumerate(as_completed(jobs), start=1):
                    try:
                        report.add(*job.result())
                    except ClientError as error:
                        report.errors[str(error)] += 1
                    show(ended)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                self._stop()
                raise
        report.wall = time.monotonic() - began
        return report

    def _stop(self) -> None:
        with self._lock:
            self._stopped = True
            jobs = list(self._open)
        for job in jobs:
            try:
                job.cancel()
            except ClientError:  # the job has ended meanwhile
                continue


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed; nan without values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


def _percentiles(seconds: list[float]) -> dict[str, float] | None:
    if not seconds:
        return None
    return {"p50": round(quantile(seconds, 0.5), 3), "p95": round(quantile(seconds, 0.95), 3)}
