"""The size that pictures have in the end, independent of the size at which they are generated."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import BaseModel, Field

from jobs.errors import Fault
from jobs.limits import MAX_OUTPUT_SIDE, MIN_SIDE, Limits
from jobs.parameters.job import JobRequest
from jobs.parameters.types import WHOLE
from jobs.pictures.output_formats import JPEG_QUALITY, OUTPUT_FORMATS

OUTPUT_FIELDS = ("output_width", "output_height")

_OutputSide = Annotated[int, Field(ge=MIN_SIDE, le=MAX_OUTPUT_SIDE), WHOLE]


class OutputSize(BaseModel, frozen=True):
    """Both are given, or neither: `output_size_faults` checks it."""

    output_width: Annotated[
        _OutputSide | None,
        Field(description="width of the finished picture in pixels, with output_height"),
    ] = None
    output_height: Annotated[
        _OutputSide | None,
        Field(description="height of the finished picture in pixels, with output_width"),
    ] = None

    @property
    def output_size(self) -> tuple[int, int] | None:
        """Width and height in pixels; None: the pictures keep the size that they have."""
        if self.output_width is None or self.output_height is None:
            return None
        return self.output_width, self.output_height


def output_warnings(request: JobRequest) -> tuple[str, ...]:
    """What of the output of a job of any kind has no effect."""
    if OUTPUT_FORMATS[request.format].lossy or request.jpeg_quality == JPEG_QUALITY:
        return ()
    return (f"jpeg_quality: it has no effect: the format is {request.format}",)


def output_size_faults(request: OutputSize, images: int, limits: Limits) -> Iterator[Fault]:
    """What is wrong with the output size of a request.

    Args:
        images: how many pictures the request asks for.
        limits: their pixels together are at most `max_output_pixels`.
    """
    sides = {field: getattr(request, field) for field in OUTPUT_FIELDS}
    missing = [field for field, side in sides.items() if side is None]
    if len(missing) == 1:
        given = next(field for field in OUTPUT_FIELDS if field not in missing)
        yield Fault(
            field=missing[0],
            code="missing",
            value=None,
            problem=f"is missing beside {given}",
            expected=f"an integer from {MIN_SIDE} up to {MAX_OUTPUT_SIDE}, or both left out",
        )
    if request.output_size is None:
        return
    width, height = request.output_size
    pixels = images * width * height
    if pixels > limits.max_output_pixels:
        field = max(OUTPUT_FIELDS, key=lambda name: sides[name])
        of_all = f"{images} pictures of " if images > 1 else ""
        yield Fault(
            field=field,
            code="too_expensive",
            value=sides[field],
            problem=f"is too large: {of_all}{width}x{height} pixels are {pixels} pixels",
            expected=f"pictures of at most {limits.max_output_pixels} pixels together",
        )
