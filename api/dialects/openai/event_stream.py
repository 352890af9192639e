"""The Server-Sent Events of one request: its partial images, and its images.

Source: `ImageGenStreamEvent`, `ImageEditStreamEvent` and `Stream` of OpenAI's Python SDK.
"""

import base64
import time
from collections.abc import Callable, Iterator
from typing import Any

import structlog

from api.dialects.openai.answers import quality_of, result_of, size_text, usage
from api.dialects.openai.error_json import error_body
from api.dialects.openai.partial_images import PartialImages, enlarged, final_size
from api.dialects.openai.response_models import CompletedImage, PartialImage
from api.dialects.openai.translation import Translated
from api.errors import NoImages, NotReady
from api.http_errors import HttpError, http_error
from api.job_events import JobEvents
from api.job_service import JobService
from api.waited_job import successful
from jobs.errors import JobsError
from jobs.status import JobSnapshot, JobStatus, Preview

log = structlog.get_logger(__name__)

COMMENT = ":\n\n"
"""It detects clients that have gone, and keeps proxies from closing the connection."""


class ImageStream:
    """The text of a stream. `close` cancels its job, unless that has ended or may be asked for.

    Args:
        jobs: runs the job.
        request: what the client asked for.
        job_id: the job.
        snapshots: of the job.
        seconds: how long the stream waits for the images.
        submitter: of the job.
        again: what the same request must have to wait on; empty: the job ends with the stream.
        dumps: serialises JSON in one line.
    """

    def __init__(
        self,
        jobs: JobService,
        request: Translated,
        job_id: str,
        snapshots: JobEvents,
        *,
        seconds: float,
        submitter: str,
        again: str,
        dumps: Callable[[Any], str],
    ) -> None:
        self._jobs = jobs
        self._request = request
        self._job_id = job_id
        self._snapshots = snapshots
        self._seconds = seconds
        self._submitter = submitter
        self._again = again
        self._dumps = dumps
        self._ended = False
        self._edits = request.kind == "img2img"
        self._partials = PartialImages(
            request.options.partial_images,
            batches=request.body["n_iter"],
            batch_size=request.body.get("n_samples", 1),
        )

    def __iter__(self) -> Iterator[str]:
        deadline = time.monotonic() + self._seconds
        for snapshot in self._snapshots:
            if snapshot is not None and snapshot.status.state.final:
                self._ended = True
                yield from self._end(snapshot.status)
                return
            if time.monotonic() > deadline:
                late = NotReady(self._seconds, self._job_id, again=self._again)
                yield self._error(http_error(late))
                return
            if snapshot is None:
                yield COMMENT
            elif due := self._partials.next(snapshot):
                yield self._partial_image(snapshot, *due)
        # The client has gone, the service stops, or the job was deleted.
        yield self._error(HttpError(503, "the job has ended without its images: try again"))

    def close(self) -> None:
        """Free the place of the stream. Calling it again does nothing."""
        self._snapshots.close()
        if not self._ended and not self._again:
            self._ended = True
            self._jobs.give_up(self._job_id, by=self._submitter)

    def _end(self, status: JobStatus) -> Iterator[str]:
        try:
            pictures = self._jobs.pictures(successful(status))
        except (NoImages, JobsError) as error:
            if isinstance(error, JobsError):
                log.warning("a stream lacks images", job=self._job_id, reason=str(error))
            yield self._error(http_error(error))
            return
        result = result_of(status)
        for number, picture in enumerate(pictures):
            yield self._event(
                CompletedImage(
                    type="image_edit.completed" if self._edits else "image_generation.completed",
                    b64_json=base64.b64encode(picture).decode(),
                    created_at=int(status.finished or time.time()),
                    size=size_text(result),
                    quality=quality_of(self._request),
                    output_format=self._request.options.output_format,
                    usage=usage(status, images=1),
                    safety_identifier=self._request.user or None,
                    id=status.job_id,
                    seeds=list(result.seeds[number : number + 1]),
                    warnings=list(status.warnings),
                )
            )

    def _partial_image(self, snapshot: JobSnapshot, number: int, preview: Preview) -> str:
        width, height = final_size(snapshot.status, preview)
        output_format = self._request.options.output_format
        return self._event(
            PartialImage(
                type="image_edit.partial_image"
                if self._edits
                else "image_generation.partial_image",
                b64_json=enlarged(preview, (width, height), output_format),
                partial_image_index=number,
                created_at=int(time.time()),
                size=f"{width}x{height}",
                quality=quality_of(self._request),
                output_format=output_format,
            )
        )

    def _event(self, event: PartialImage | CompletedImage) -> str:
        data = self._dumps(event.model_dump(exclude_none=True))
        return f"event: {event.type}\ndata: {data}\n\n"

    def _error(self, error: HttpError) -> str:
        data = self._dumps({"type": "error", **error_body(error)})
        return f"event: error\ndata: {data}\n\n"
