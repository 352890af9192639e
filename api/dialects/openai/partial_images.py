"""Which previews of a job become partial images, and their pixels."""

import base64
import io

from PIL import Image

from jobs.pictures.output_formats import BY_SUBTYPE, encode
from jobs.status import JobSnapshot, JobStatus, Preview

_QUALITY = 85


class PartialImages:
    """Selects previews that are spread over the sampling of each batch.

    The first of three comes after a quarter of the steps, and so on. A batch that is faster than
    its previews has fewer.

    Args:
        count: how many of each batch.
        batches: of the job.
        batch_size: images in each.
    """

    def __init__(self, count: int, *, batches: int, batch_size: int) -> None:
        self._count = count
        self._batches = batches
        self._batch_size = batch_size
        self._batch = 0
        self._sent = 0
        self._seen = 0

    def next(self, snapshot: JobSnapshot) -> tuple[int, Preview] | None:
        """The number of the next partial image of the batch, from 0, and its preview, if due."""
        preview = snapshot.preview
        if preview is None or snapshot.previews == self._seen or snapshot.status.state.final:
            return None
        self._seen = snapshot.previews
        batch = (preview.image - 1) // self._batch_size
        if batch != self._batch:
            self._batch, self._sent = batch, 0
        done = preview.step * self._batches / preview.steps - batch
        if self._sent == self._count or done * (self._count + 1) < self._sent + 1:
            return None
        self._sent += 1
        return self._sent - 1, preview


def final_size(status: JobStatus, preview: Preview) -> tuple[int, int]:
    """Width and height that the images of a job will have, about.

    Args:
        preview: an eighth as large as what is generated, or less.
    """
    asked = status.request
    if asked.get("output_width"):
        return asked["output_width"], asked["output_height"]
    factor = 16 if asked.get("post_upscale") else 8
    return preview.width * factor, preview.height * factor


def enlarged(preview: Preview, size: tuple[int, int], output_format: str) -> str:
    """A preview as an image of this size, as base64.

    Args:
        preview: an eighth as large.
        size: width and height in pixels.
        output_format: of the request, such as `jpeg`.
    """
    small = Image.open(io.BytesIO(base64.b64decode(preview.jpeg)), formats=("JPEG",))
    large = small.resize(size, Image.Resampling.BICUBIC)
    return base64.b64encode(encode(large, BY_SUBTYPE[output_format], "", _QUALITY)).decode()
