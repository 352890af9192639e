"""The status of a finished job → the JSON of its images."""

import base64
import re
from typing import Any

from api.dialects.openai.response_models import (
    GeneratedImage,
    GeneratedImages,
    TokenDetails,
    Usage,
)
from api.dialects.openai.translation import Translated
from api.job_pictures import pictures_by_name
from jobs.status import JobStatus, Result

TOKEN_SIDE = 16
"""Pixels; about what OpenAI counts at high quality."""
ANSWERED_QUALITY = {"auto": "medium", "standard": "medium", "hd": "high"}
"""Of a request → of its answer, where they differ: the SDK knows no others."""
_WORD = re.compile(r"\w+|[^\w\s]")


def images_json(
    status: JobStatus, request: Translated, *, pictures: list[bytes], base_url: str
) -> dict[str, Any]:
    """The answer to a client that has waited.

    Args:
        status: the successful job.
        request: what the client asked for.
        pictures: all its images; not read if the client wants their addresses.
        base_url: of this service, without a slash at its end.
    """
    result = result_of(status)
    if request.options.response_format == "url":
        data = [
            GeneratedImage(url=f"{base_url}/images/{status.job_id}/{name}")
            for name in pictures_by_name(status)
        ]
    else:
        data = [GeneratedImage(b64_json=base64.b64encode(each).decode()) for each in pictures]
    answer = GeneratedImages(
        created=int(status.finished or status.submitted),
        data=data,
        usage=usage(status, images=len(result.images)),
        size=size_text(result),
        quality=None if request.options.steps else quality_of(request),
        output_format=request.options.output_format,
        safety_identifier=request.user or None,
        id=status.job_id,
        seeds=list(result.seeds),
        warnings=list(status.warnings),
    )
    return answer.model_dump(exclude_none=True)


def result_of(status: JobStatus) -> Result:
    """The result of a successful job."""
    assert status.result is not None
    return status.result


def size_text(result: Result) -> str:
    """The size of the images, as `WIDTHxHEIGHT`."""
    return f"{result.images[0].width}x{result.images[0].height}"


def quality_of(request: Translated) -> str:
    """The quality as answers have it; `auto` if `steps` was sent."""
    quality = request.options.quality
    return "auto" if request.options.steps else ANSWERED_QUALITY.get(quality, quality)


def usage(status: JobStatus, *, images: int) -> Usage:
    """The measure of some images of a job."""
    asked = status.request
    text = len(_WORD.findall(f"{asked['prompt']} {asked['negative_prompt']}"))
    edited = _image_tokens(asked["W"], asked["H"]) if status.kind == "img2img" else 0
    first = result_of(status).images[0]
    made = images * _image_tokens(first.width, first.height)
    return Usage(
        input_tokens=text + edited,
        input_tokens_details=TokenDetails(image_tokens=edited, text_tokens=text),
        output_tokens=made,
        output_tokens_details=TokenDetails(image_tokens=made, text_tokens=0),
        total_tokens=text + edited + made,
    )


def _image_tokens(width: int, height: int) -> int:
    return max(1, width // TOKEN_SIDE) * max(1, height // TOKEN_SIDE)
