"""The overhead of the service: latency of requests, submissions, polling clients.

Measured with a real service of one worker with the tiny model: Valkey, Celery, gunicorn, HTTP.
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

from benchmarks.client import Client, encode
from benchmarks.fixtures import noop_worker, running_service, running_valkey, until
from benchmarks.harness import BenchmarkOptions, Figure, figure, seconds
from jobs.connection import connect
from jobs.records.record import JobRecords
from stable_diffusion import tiny
from stable_diffusion.generate import generate
from stable_diffusion.load_model import load_model
from stable_diffusion.recipe import Recipe

SMALL = {"prompt": "a red circle", "H": 64, "W": 64, "ddim_steps": 2, "type": "standard"}
LONG = {**SMALL, "H": 256, "W": 256, "ddim_steps": 30, "n_iter": 2}
POLLING_CLIENTS = 200
_PER_ROUND = 20
_SUBMITS = 100


def measure(options: BenchmarkOptions) -> Iterator[Figure]:
    """Each figure, and its baseline in the same rounds."""
    folder = options.folder
    with (
        running_valkey(folder) as broker,
        running_service(folder, broker) as url,
        noop_worker(broker) as noop,
    ):
        bench = Bench(Client(url), JobRecords(connect(broker), result_ttl_seconds=600), noop)
        bench.run(SMALL)  # loads the model
        yield from bench.latency(options.rounds)
        yield from bench.gap(options.rounds)
        yield from bench.submissions(options.rounds)
        yield from bench.init_image(options.rounds)
        yield from bench.polling(options.rounds)


class Bench:
    """The measurements with one service."""

    def __init__(self, client: Client, records: JobRecords, noop: Any) -> None:
        self._client = client
        self._records = records
        self._noop = noop
        self._model = load_model(tiny.PATH, name="tiny")

    def latency(self, rounds: int) -> Iterator[Figure]:
        """Time from POST to the result without the generation, compared with an empty task."""
        overheads: list[float] = []
        noops: list[float] = []
        for _ in range(rounds):
            generation = self._generation_seconds()
            whole = statistics.median(self._seconds_to_result(SMALL) for _ in range(_PER_ROUND))
            overheads.append(1000 * (whole - generation))
            noops.append(
                1000
                * statistics.median(
                    seconds(lambda: self._noop.delay().get(timeout=30)) for _ in range(_PER_ROUND)
                )
            )
        yield figure("POST to result, without generation; a Celery no-op", overheads, noops, "ms")

    def gap(self, rounds: int) -> Iterator[Figure]:
        """Time between two queued jobs without the generation, compared with empty tasks."""
        gaps: list[float] = []
        noops: list[float] = []
        for _ in range(rounds):
            generation = self._generation_seconds()
            ids = [self.submit(SMALL) for _ in range(_PER_ROUND)]
            self.wait(ids[-1])
            ends = sorted(self._finished(job_id) for job_id in ids)
            gaps.append(1000 * (statistics.median(_differences(ends)) - generation))
            waiting = [self._noop.delay() for _ in range(5 * _PER_ROUND)]
            waiting[0].get(timeout=30)
            noops.append(
                1000 * seconds(lambda w=waiting: w[-1].get(timeout=30)) / (len(waiting) - 1)
            )
        yield figure("from job to job, without generation; Celery no-ops", gaps, noops, "ms")

    def submissions(self, rounds: int) -> Iterator[Figure]:
        """Time of one submission, compared with `send_task` alone. Cancels the jobs at once."""
        ours: list[float] = []
        peer: list[float] = []
        for _ in range(rounds):
            began = time.perf_counter()
            ids = [self.submit(LONG) for _ in range(_SUBMITS)]
            ours.append(1000 * (time.perf_counter() - began) / _SUBMITS)
            self._cancel(ids)
            began = time.perf_counter()
            for _ in range(_SUBMITS):
                self._noop.apply_async(ignore_result=True)
            peer.append(1000 * (time.perf_counter() - began) / _SUBMITS)
        yield figure("one submit; send_task alone", ours, peer, "ms")

    def init_image(self, rounds: int) -> Iterator[Figure]:
        """Time of a submission with an image of a megabyte, compared with one of a kilobyte."""
        large, small = _picture(580), _picture(16)
        times: dict[str, list[float]] = {large: [], small: []}
        for _ in range(rounds):
            for picture, taken in times.items():
                body = encode({**SMALL, "init_img": picture, "n_iter": 1})
                ids: list[str] = []
                each = [
                    seconds(lambda body=body, ids=ids: ids.append(self._client.img2img(body)))
                    for _ in range(_PER_ROUND)
                ]
                taken.append(1000 * statistics.median(each))
                self._cancel(ids)
        name = f"submit, init image of {len(large) / 1e6:.1f} MB; of a kilobyte"
        yield figure(name, times[large], times[small], "ms")

    def polling(self, rounds: int) -> Iterator[Figure]:
        """Time of a job with many polling clients, each twice a second, and without any."""
        alone: list[float] = []
        polled: list[float] = []
        answers: list[float] = []
        for _ in range(rounds):
            alone.append(seconds(lambda: self.run(LONG)))
            current = [self.submit(SMALL)]
            self.wait(current[0])
            with _polling_clients(self._client.url, current, answers):
                time.sleep(2)  # all clients have started before the job
                polled.append(seconds(lambda current=current: self._run_polled(current)))
        yield figure(f"a job polled by {POLLING_CLIENTS}; by none", polled, alone)
        answers.sort()
        slowest = 1000 * answers[int(len(answers) * 0.99)]
        yield figure(f"/status, 99th percentile of {POLLING_CLIENTS} clients", [slowest], unit="ms")

    def _seconds_to_result(self, body: dict[str, Any]) -> float:
        """Seconds from before POST to the result in the record.

        Both times are from this machine's clock: frequent polling would take the processor from the
        worker, and rare polling would measure too late an end.
        """
        sent = encode(body)
        began = time.time()
        job_id = self._client.generate(sent)
        until(lambda: self._records.get(job_id).state.final, pause=0.01)
        return self._finished(job_id) - began

    def _finished(self, job_id: str) -> float:
        finished = self._records.get(job_id).finished
        assert finished
        return finished

    def _generation_seconds(self) -> float:
        """Seconds to generate a small job in this process, with one thread as in the worker."""
        recipe = Recipe(prompt="a red circle", width=64, height=64, steps=2)
        torch.set_num_threads(1)
        return statistics.median(
            seconds(lambda: list(generate(self._model, recipe))) for _ in range(_PER_ROUND)
        )

    def _run_polled(self, current: list[str]) -> None:
        current[0] = self.submit(LONG)
        self.wait(current[0])

    def run(self, body: dict[str, Any]) -> None:
        """Submit a job and wait for its end."""
        self.wait(self.submit(body))

    def submit(self, body: dict[str, Any]) -> str:
        """Submit a job; returns its id."""
        return self._client.generate(encode(body))

    def wait(self, job_id: str) -> None:
        """Wait for the end of a job, by its record."""
        until(lambda: self._records.get(job_id).state.final)

    def _cancel(self, ids: list[str]) -> None:
        for job_id in ids:
            self._client.cancel(job_id)
        for job_id in ids:
            self.wait(job_id)


@contextmanager
def _polling_clients(url: str, current: list[str], answers: list[float]) -> Iterator[None]:
    """Clients that get the status of the job `current[0]`, each every half second."""
    stop = threading.Event()

    def poll(number: int) -> None:
        client = Client(url)
        stop.wait(0.5 * number / POLLING_CLIENTS)
        while not stop.is_set():
            answers.append(seconds(lambda: client.status(current[0])))
            stop.wait(0.5)
        client.close()

    threads = [threading.Thread(target=poll, args=(number,)) for number in range(POLLING_CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _differences(times: list[float]) -> list[float]:
    return [later - earlier for earlier, later in pairwise(times)]


def _picture(side: int) -> str:
    """A PNG of incompressible noise, in base64."""
    noise = random.Random(1).randbytes(side * side * 3)
    data = io.BytesIO()
    Image.frombytes("RGB", (side, side), noise).save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()
