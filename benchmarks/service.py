"""What the service adds to the drawing: the way of a request, submits, watchers.

All through a real service of one worker with the tiny model: Valkey, Celery, gunicorn, HTTP.
"""

import base64
import io
import random
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
from PIL import Image

from benchmarks.client import Client, encoded
from benchmarks.harness import Figure, Workshop, figure, seconds
from benchmarks.rig import noop_worker, running_service, running_valkey, until
from jobs.connection import connect
from jobs.record import JobRecords
from stable_diffusion import tiny
from stable_diffusion.generate import generate
from stable_diffusion.model import load_model
from stable_diffusion.recipe import Recipe

SMALL = {"prompt": "a red circle", "H": 64, "W": 64, "ddim_steps": 2, "type": "standard"}
LONG = {**SMALL, "H": 256, "W": 256, "ddim_steps": 30, "n_iter": 2}
WATCHERS = 200
_A_ROUND = 20
_SUBMITS = 100


def measure(workshop: Workshop) -> Iterator[Figure]:
    """Each figure beside its peer in the same rounds."""
    folder = workshop.folder
    with (
        running_valkey(folder) as broker,
        running_service(folder, broker) as url,
        noop_worker(broker) as noop,
    ):
        bench = Bench(Client(url), JobRecords(connect(broker), result_ttl_seconds=600), noop)
        bench.drawn(SMALL)  # the model is loaded
        yield from bench.way(workshop.rounds)
        yield from bench.between(workshop.rounds)
        yield from bench.submits(workshop.rounds)
        yield from bench.init_image(workshop.rounds)
        yield from bench.watched(workshop.rounds)


class Bench:
    """The measurements, through one service."""

    def __init__(self, client: Client, records: JobRecords, noop: Any) -> None:
        self._client = client
        self._records = records
        self._noop = noop
        self._model = load_model(tiny.PATH, name="tiny")

    def way(self, rounds: int) -> Iterator[Figure]:
        """From POST to the result, less the drawing, beside a task that does nothing."""
        overheads: list[float] = []
        noops: list[float] = []
        for _ in range(rounds):
            drawing = self._drawing_seconds()
            whole = statistics.median(self._seconds_to_result(SMALL) for _ in range(_A_ROUND))
            overheads.append(1000 * (whole - drawing))
            noops.append(
                1000
                * statistics.median(
                    seconds(lambda: self._noop.delay().get(timeout=30)) for _ in range(_A_ROUND)
                )
            )
        yield figure("POST to result, less the drawing; a Celery no-op", overheads, noops, "ms")

    def between(self, rounds: int) -> Iterator[Figure]:
        """From one job to the next that waits, less the drawing, beside tasks that do nothing."""
        gaps: list[float] = []
        noops: list[float] = []
        for _ in range(rounds):
            drawing = self._drawing_seconds()
            ids = [self.sent(SMALL) for _ in range(_A_ROUND)]
            self.ended(ids[-1])
            ends = sorted(self._finished(job_id) for job_id in ids)
            gaps.append(1000 * (statistics.median(_steps(ends)) - drawing))
            waiting = [self._noop.delay() for _ in range(5 * _A_ROUND)]
            waiting[0].get(timeout=30)
            noops.append(
                1000 * seconds(lambda w=waiting: w[-1].get(timeout=30)) / (len(waiting) - 1)
            )
        yield figure("from job to job, less the drawing; Celery no-ops", gaps, noops, "ms")

    def submits(self, rounds: int) -> Iterator[Figure]:
        """Requests a second, beside `send_task` alone. The jobs are cancelled at once."""
        ours: list[float] = []
        peer: list[float] = []
        for _ in range(rounds):
            began = time.perf_counter()
            ids = [self.sent(LONG) for _ in range(_SUBMITS)]
            ours.append(1000 * (time.perf_counter() - began) / _SUBMITS)
            self._cancelled(ids)
            began = time.perf_counter()
            for _ in range(_SUBMITS):
                self._noop.apply_async(ignore_result=True)
            peer.append(1000 * (time.perf_counter() - began) / _SUBMITS)
        yield figure("one submit; send_task alone", ours, peer, "ms")

    def init_image(self, rounds: int) -> Iterator[Figure]:
        """A submit with a picture of a megabyte, beside one with a picture of a kilobyte."""
        large, small = _picture(580), _picture(16)
        times: dict[str, list[float]] = {large: [], small: []}
        for _ in range(rounds):
            for picture, taken in times.items():
                body = encoded({**SMALL, "init_img": picture, "n_iter": 1})
                ids: list[str] = []
                each = [
                    seconds(lambda body=body, ids=ids: ids.append(self._client.img2img(body)))
                    for _ in range(_A_ROUND)
                ]
                taken.append(1000 * statistics.median(each))
                self._cancelled(ids)
        name = f"submit, init image of {len(large) / 1e6:.1f} MB; of a kilobyte"
        yield figure(name, times[large], times[small], "ms")

    def watched(self, rounds: int) -> Iterator[Figure]:
        """A job while many ask how it is, each twice a second, beside one that nobody watches."""
        alone: list[float] = []
        watched: list[float] = []
        answers: list[float] = []
        for _ in range(rounds):
            alone.append(seconds(lambda: self.drawn(LONG)))
            looked_at = [self.sent(SMALL)]
            self.ended(looked_at[0])
            with _crowd(self._client.url, looked_at, answers):
                time.sleep(2)  # all of them are there before the job is
                watched.append(seconds(lambda looked_at=looked_at: self._watched(looked_at)))
        yield figure(f"a job polled by {WATCHERS}; by nobody", watched, alone)
        answers.sort()
        slowest = 1000 * answers[int(len(answers) * 0.99)]
        yield figure(f"/status, 99th percentile of {WATCHERS} clients", [slowest], unit="ms")

    def _seconds_to_result(self, body: dict[str, Any]) -> float:
        """From the moment before POST to the one at which the record has the result.

        Both are read from this machine's clock. Who looks often would take the processor from the
        worker, and who looks seldom would notice late.
        """
        sent = encoded(body)
        began = time.time()
        job_id = self._client.generate(sent)
        until(lambda: self._records.get(job_id).state.final, pause=0.01)
        return self._finished(job_id) - began

    def _finished(self, job_id: str) -> float:
        finished = self._records.get(job_id).finished
        assert finished
        return finished

    def _drawing_seconds(self) -> float:
        """What drawing a small job takes in this process, with one thread, as in the worker's."""
        recipe = Recipe(prompt="a red circle", width=64, height=64, steps=2)
        torch.set_num_threads(1)
        return statistics.median(
            seconds(lambda: list(generate(self._model, recipe))) for _ in range(_A_ROUND)
        )

    def _watched(self, looked_at: list[str]) -> None:
        looked_at[0] = self.sent(LONG)
        self.ended(looked_at[0])

    def drawn(self, body: dict[str, Any]) -> None:
        """Submit a job and see it end, by the record itself."""
        self.ended(self.sent(body))

    def sent(self, body: dict[str, Any]) -> str:
        """The id of a submitted job."""
        return self._client.generate(encoded(body))

    def ended(self, job_id: str) -> None:
        """Wait for the end of a job."""
        until(lambda: self._records.get(job_id).state.final)

    def _cancelled(self, ids: list[str]) -> None:
        for job_id in ids:
            self._client.cancel(job_id)
        for job_id in ids:
            self.ended(job_id)


@contextmanager
def _crowd(url: str, looked_at: list[str], answers: list[float]) -> Iterator[None]:
    """Clients that ask for the status of one job (which may change), each every half second."""
    over = threading.Event()

    def watch(number: int) -> None:
        client = Client(url)
        over.wait(0.5 * number / WATCHERS)
        while not over.is_set():
            answers.append(seconds(lambda: client.status(looked_at[0])))
            over.wait(0.5)
        client.close()

    threads = [threading.Thread(target=watch, args=(number,)) for number in range(WATCHERS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _steps(times: list[float]) -> list[float]:
    return [later - earlier for earlier, later in pairwise(times)]


def _picture(side: int) -> str:
    """A PNG of noise, which cannot be made small, in base64."""
    noise = random.Random(1).randbytes(side * side * 3)
    data = io.BytesIO()
    Image.frombytes("RGB", (side, side), noise).save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()
