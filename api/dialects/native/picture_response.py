"""The answers that are pictures: any of a finished job, whole or as a thumbnail."""

import re
from io import BytesIO
from typing import Any

from flask import Response, request, send_file

from api.job_pictures import default_picture, pictures_by_name, thumbnail
from api.job_service import JobService
from jobs.pictures.output_formats import MEDIA_TYPES
from jobs.status import JobStatus

CACHE_SECONDS = 86_400
"""How long a client may cache a picture, which never changes."""


def picture_response(
    jobs: JobService, status: JobStatus, name: str | None = None, *, small: bool = False
) -> Response:
    """One picture of a finished job.

    Args:
        jobs: reads the picture.
        status: the job.
        name: its number from 0, or `grid`; None: the grid if there is one, else the first.
        small: a thumbnail of it.

    Raises:
        NoSuchImage, StoreError.
    """
    data = jobs.picture(status, name)
    name = name or default_picture(status)
    extension = status.result.format if status.result and not small else "jpg"
    if small:
        data = thumbnail(data)
    version = "-small" if small else ""
    response = send_file(
        BytesIO(data),
        mimetype=MEDIA_TYPES[extension],
        download_name=f"{status.job_id}_{name}{version}.{extension}",
        etag=f"{status.job_id}-{name}{version}",
        max_age=CACHE_SECONDS,
        conditional=False,  # below, with our own parsing of the range
    )
    response.cache_control.public = False
    response.cache_control.private = True  # the job's id is a secret
    response.cache_control.immutable = True
    for other in pictures_by_name(status):
        if other != name:
            response.headers.add("Link", f'</images/{status.job_id}/{other}>; rel="related"')
    environment = _environment(len(data))
    response.make_conditional(environment, accept_ranges=True, complete_length=len(data))
    return response


def _environment(length: int) -> dict[str, Any]:
    """The WSGI environment, in which a suffix range longer than the picture selects all of it."""
    environ = request.environ
    suffix = re.fullmatch(r"bytes=-(\d{1,18})", environ.get("HTTP_RANGE", "").strip())
    too_long = suffix and int(suffix[1]) > length
    return {**environ, "HTTP_RANGE": "bytes=0-"} if too_long else environ
