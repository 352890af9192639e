"""The pictures of a finished job by name, and their thumbnails."""

from io import BytesIO

from PIL import Image

from jobs.pictures.decoding import decoding
from jobs.status import JobStatus, StoredPicture

GRID = "grid"
THUMBNAIL_SIDE = 416
"""Longest side of a thumbnail in pixels: twice the gallery's, for high-density screens."""
_QUALITY = 85


def pictures_by_name(status: JobStatus) -> dict[str, StoredPicture]:
    """The pictures of a job as `0`, `1`, … and `grid`, in this order; empty before it succeeds."""
    if status.result is None:
        return {}
    numbered = {str(number): picture for number, picture in enumerate(status.result.images)}
    return numbered | ({GRID: status.result.grid} if status.result.grid else {})


def default_picture(status: JobStatus) -> str:
    """The picture that stands for the job: the grid if there is one, else the first."""
    return GRID if GRID in pictures_by_name(status) else "0"


def thumbnail(data: bytes) -> bytes:
    """A JPEG of the picture whose longest side is at most `THUMBNAIL_SIDE` pixels."""
    image = Image.open(BytesIO(data))
    with decoding.room(image.width * image.height):
        image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    out = BytesIO()
    image.convert("RGB").save(out, "JPEG", quality=_QUALITY)
    return out.getvalue()
