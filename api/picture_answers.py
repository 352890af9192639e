"""The answers that are pictures: any of a finished job, whole or as a thumbnail."""

import re
from io import BytesIO
from typing import Any

from flask import Response, request, send_file
from PIL import Image

from api.desk import Desk
from api.errors import NoSuchImage
from jobs.status import JobStatus, StoredPicture

GRID = "grid"
MIME_TYPES = {"png": "image/png", "jpg": "image/jpeg"}
KEPT_BY_CLIENTS = 86_400
"""Seconds a client may keep a picture without asking again: it never changes."""
SMALL = 416
"""Pixels of a thumbnail's longer side: twice what the gallery gives it, for fine screens."""
_QUALITY = 85


def picture_response(
    desk: Desk, status: JobStatus, number: str | None = None, *, small: bool = False
) -> Response:
    """One picture of a finished job.

    Args:
        desk: where the pictures are.
        status: the job.
        number: which picture, from 0, or `grid`; None: the grid if there is one, else the first.
        small: a thumbnail of it.

    Raises:
        NoSuchImage, StoreError.
    """
    if status.result is None:
        raise NoSuchImage(f"the job has no pictures: it is {status.state}")
    links = image_links(status)
    number = number or (GRID if GRID in links else "0")
    if number not in links:
        raise NoSuchImage(f"the job has no picture {number!r}; it has: {', '.join(links)}")
    data, extension = desk.store.read(links[number].name), status.result.format
    if small:
        data, extension = thumbnail(data), "jpg"
    version = "-small" if small else ""
    response = send_file(
        BytesIO(data),
        mimetype=MIME_TYPES[extension],
        download_name=f"{status.job_id}_{number}{version}.{extension}",
        etag=f"{status.job_id}-{number}{version}",
        max_age=KEPT_BY_CLIENTS,
        conditional=False,  # done below, in our reading of the range
    )
    response.cache_control.public = False
    response.cache_control.private = True  # only who knows the id may see it
    response.cache_control.immutable = True
    response.headers["X-Content-Type-Options"] = "nosniff"
    for other in links:
        if other != number:
            response.headers.add("Link", f'</images/{status.job_id}/{other}>; rel="related"')
    # ranges, and 304 for who has it already
    response.make_conditional(_asked(len(data)), accept_ranges=True, complete_length=len(data))
    return response


def thumbnail(data: bytes) -> bytes:
    """The JPEG of a picture whose longer side has `SMALL` pixels; a smaller one stays as small."""
    image = Image.open(BytesIO(data))
    image.thumbnail((SMALL, SMALL))
    out = BytesIO()
    image.convert("RGB").save(out, "JPEG", quality=_QUALITY)
    return out.getvalue()


def image_links(status: JobStatus) -> dict[str, StoredPicture]:
    """The pictures of a job by the last part of their address: 0, 1, … and `grid`."""
    if status.result is None:
        return {}
    numbered = {str(number): picture for number, picture in enumerate(status.result.images)}
    return numbered | ({GRID: status.result.grid} if status.result.grid else {})


def _asked(length: int) -> dict[str, Any]:
    """The request as werkzeug reads it, but more bytes from the end than there are mean all."""
    asked = request.environ
    suffix = re.fullmatch(r"bytes=-(\d{1,18})", asked.get("HTTP_RANGE", "").strip())
    return {**asked, "HTTP_RANGE": "bytes=0-"} if suffix and int(suffix[1]) > length else asked
