"""Shows what the pictures of running jobs look like so far, about twice a second.

The sampler leaves here how a preview would be made, and goes on: it waits neither for Redis nor for
the preview, nor a GPU for the sampler.
"""

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from PIL import Image

from jobs.claims import Claims
from jobs.status import Preview, Progress
from worker.background.periodic_thread import PeriodicThread
from worker.execution.active_job import ActiveJob
from worker.execution.latest_value import LatestValue

log = structlog.get_logger(__name__)

_PATIENCE_SECONDS = 0.1
_INTERVAL_SECONDS = 0.5
_QUALITY = 90


@dataclass(frozen=True)
class _Latest:
    progress: Progress
    draw: Callable[[], Image.Image]


class Previewer(PeriodicThread):
    """The previews of one worker's jobs.

    Args:
        claims: the records.
    """

    def __init__(self, claims: Claims) -> None:
        super().__init__("previewer", _INTERVAL_SECONDS - _PATIENCE_SECONDS)
        self._claims = claims
        self._mailbox: LatestValue[_Latest] = LatestValue(_PATIENCE_SECONDS)

    def tell(self, running: ActiveJob, progress: Progress, draw: Callable[[], Image.Image]) -> None:
        """Leave how the preview that belongs to this progress is drawn. Returns at once."""
        self._mailbox.leave(running, _Latest(progress, draw))

    def forget(self, running: ActiveJob) -> None:
        """Drop what has not been drawn of a job, and with it the model it would be drawn with."""
        self._mailbox.forget(running)

    def stop(self) -> None:
        self._stopped.set()
        self._mailbox.close()
        super().stop()

    def tick(self) -> None:
        """Wait for news, then show the latest of each job."""
        latest = self._mailbox.take()
        while latest:  # what was shown holds no model any longer
            self._show(*latest.popitem())

    def _show(self, running: ActiveJob, latest: _Latest) -> None:
        try:
            preview = drawn(latest.progress, latest.draw())
        except Exception as error:  # noqa: BLE001 - the job is drawn all the same
            log.warning("no preview", job=running.claim.job_id, reason=str(error))
            return
        running.apply(self._claims.preview(running.claim, preview))


def drawn(progress: Progress, image: Image.Image) -> Preview:
    """A picture as a preview."""
    data = io.BytesIO()
    # it will be looked at enlarged: colours in full resolution
    image.save(data, "JPEG", quality=_QUALITY, subsampling=0)
    return Preview(
        step=progress.step,
        steps=progress.steps,
        image=progress.image,
        width=image.width,
        height=image.height,
        jpeg=base64.b64encode(data.getvalue()).decode(),
    )
