"""A worker that draws whatever comes, in a thread, for requests that wait for their pictures."""

import base64
import threading
import time
from dataclasses import dataclass, field
from typing import Self

from jobs.records.claim import Claim
from jobs.status import Preview
from jobs.validation.request import Request
from tests.api.conftest import HandWorker, painted


@dataclass
class DrawingWorker:
    """Used in a `with` block.

    Attributes:
        worker: claims and finishes the jobs.
        previews: how many previews each picture has, evenly spread.
        due: the numbers of those that come as partial images, from 1: each is shown until the test
            says that it was received.
        drawn: the requests so far.
    """

    worker: HandWorker
    previews: int = 0
    due: tuple[int, ...] = ()
    drawn: list[Request] = field(default_factory=list[Request])
    _received: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def received(self) -> None:
        """An event has come."""
        self._received.release()

    def __enter__(self) -> Self:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            if claim := self.worker.claims.claim("optimized", "by-hand"):
                self._draw(claim)
            else:
                time.sleep(0.01)

    def _draw(self, claim: Claim) -> None:
        request = self.worker.request_of(claim)
        steps = request.n_iter * request.ddim_steps
        for number in range(1, self.previews * request.n_iter + 1):
            step = steps * number // (self.previews * request.n_iter + 1)
            image = 1 + step // request.ddim_steps * request.n_samples
            self.worker.report(claim, step, steps)
            width, height = request.W // 8, request.H // 8
            jpeg = base64.b64encode(painted((width, height), "red", "jpg")).decode()
            shown = Preview(
                step=step, steps=steps, image=image, width=width, height=height, jpeg=jpeg
            )
            self.worker.claims.preview(claim, shown)
            if number in self.due:
                self._received.acquire(timeout=120)
            else:
                time.sleep(0.25)  # the API polls ten times a second, if it gets the processor
        self.drawn.append(request)
        self.worker.finish(claim, request)
