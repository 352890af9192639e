"""Writes previews of running jobs, about twice a second.

The sampling thread leaves a function that computes the preview, and continues: it waits neither for
the preview nor for Redis.
"""

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from PIL import Image

from jobs.records.claims import Claims
from jobs.status import Preview, Progress
from worker.background.periodic_thread import PeriodicThread
from worker.execution.active_job import ActiveJob
from worker.execution.latest_value import LatestValue

log = structlog.get_logger(__name__)

_DELAY_SECONDS = 0.1
_INTERVAL_SECONDS = 0.5
_QUALITY = 90


@dataclass(frozen=True)
class _PendingPreview:
    progress: Progress
    compute: Callable[[], Image.Image]


class Previewer(PeriodicThread):
    """The previews of one worker's jobs.

    Args:
        claims: the records of the jobs.
    """

    def __init__(self, claims: Claims) -> None:
        super().__init__("previewer", _INTERVAL_SECONDS - _DELAY_SECONDS)
        self._claims = claims
        self._latest: LatestValue[_PendingPreview] = LatestValue(_DELAY_SECONDS)

    def offer(self, job: ActiveJob, progress: Progress, compute: Callable[[], Image.Image]) -> None:
        """Offer the preview of a job at this progress. Never blocks."""
        self._latest.put(job, _PendingPreview(progress, compute))

    def discard(self, job: ActiveJob) -> None:
        """Drop the pending preview of a job, and with it the reference to the job's model."""
        self._latest.discard(job)

    def stop(self) -> None:
        self._stopped.set()
        self._latest.close()
        super().stop()

    def tick(self) -> None:
        """Wait for previews, then compute and write the latest of each job."""
        latest = self._latest.take()
        while latest:  # each item refers to a model: release it as soon as it is written
            self._write(*latest.popitem())

    def _write(self, job: ActiveJob, pending: _PendingPreview) -> None:
        try:
            preview = encode_preview(pending.progress, pending.compute())
        except Exception as error:  # noqa: BLE001 - a job succeeds without its previews
            log.warning("no preview", job=job.claim.job_id, reason=str(error))
            return
        job.apply(self._claims.preview(job.claim, preview))


def encode_preview(progress: Progress, image: Image.Image) -> Preview:
    """A preview from a small RGB image, as JPEG."""
    data = io.BytesIO()
    # clients show it enlarged, so the colours keep the full resolution
    image.save(data, "JPEG", quality=_QUALITY, subsampling=0)
    return Preview(
        step=progress.step,
        steps=progress.steps,
        image=progress.image,
        width=image.width,
        height=image.height,
        jpeg=base64.b64encode(data.getvalue()).decode(),
    )
