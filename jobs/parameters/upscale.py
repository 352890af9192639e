"""The request to enlarge a picture: its parameters, and what they must satisfy together."""

import math
from collections.abc import Collection, Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from jobs.errors import Fault
from jobs.limits import MAX_RESULT_SIDE, Limits
from jobs.names import JobKind
from jobs.parameters.job import TYPE_MEANS, JobRequest
from jobs.parameters.output import OUTPUT_FIELDS, OutputSize, output_size_faults
from jobs.parameters.types import InitImage
from jobs.pictures.output_formats import OUTPUT_FORMATS
from jobs.pictures.picture_formats import IN_WORDS
from jobs.pictures.png_text import size_of
from jobs.upscalers import NETWORK, UpscalerName

UPSCALE_BY = 2.0


class Upscale(OutputSize, JobRequest, frozen=True):
    """POST /upscale. No model is needed.

    `init_img` is as in `ImageToImage`.
    """

    kind: ClassVar[JobKind] = "upscale"

    init_img: Annotated[InitImage, Field(repr=False, description=f"base64 of a {IN_WORDS} picture")]
    upscale_by: Annotated[
        float | None,
        Field(gt=1, le=8, description="factor of both sides; 2 without an output size"),
    ] = None
    upscaler: Annotated[
        UpscalerName,
        Field(description="default is the worker's network; the others resample"),
    ] = NETWORK

    @property
    def factor(self) -> float:
        """Of both sides, unless there is an output size."""
        return self.upscale_by or UPSCALE_BY

    def size_from(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the result for a picture of width x height pixels."""
        return self.output_size or (round(self.factor * width), round(self.factor * height))


class StandardUpscale(Upscale, frozen=True):
    """POST /upscale, type standard."""

    type: Annotated[Literal["standard"], Field(description=TYPE_MEANS)]


class OptimizedUpscale(Upscale, frozen=True):
    """POST /upscale, type optimized."""

    type: Annotated[Literal["optimized"], Field(description=TYPE_MEANS)] = "optimized"


def upscale_faults(request: Upscale, wrong: Collection[str], limits: Limits) -> Iterator[Fault]:
    """What is wrong with the parameters of a request together.

    Args:
        wrong: the fields that are wrong by themselves; what depends on them is not checked.
    """
    sized = not any(field in wrong for field in OUTPUT_FIELDS)
    if sized:
        yield from output_size_faults(request, 1, limits)
    if sized and request.output_size and request.upscale_by is not None:
        yield Fault(
            field="upscale_by",
            code="two_sizes",
            value=request.upscale_by,
            problem="is a second size beside output_width and output_height",
            expected="upscale_by, or output_width and output_height, left out",
        )
    elif not request.output_size and request.init_img and "upscale_by" not in wrong:
        yield from _affordable(request, limits)
    returned = request.return_base64 or request.synchronous_request
    if request.skip_save and not returned:
        yield Fault(
            field="skip_save",
            code="nothing_to_return",
            value=True,
            problem="with neither return_base64 nor synchronous_request leaves nothing to return",
            expected="skip_save false, or return_base64 true",
        )


def _affordable(request: Upscale, limits: Limits) -> Iterator[Fault]:
    width, height = size_of(request.init_img)
    size = request.size_from(width, height)
    longest = min(MAX_RESULT_SIDE, OUTPUT_FORMATS[request.format].max_side)
    by_pixels = math.sqrt(limits.max_output_pixels / (width * height))
    largest = math.floor(100 * min(by_pixels, longest / max(width, height))) / 100
    if math.prod(size) <= limits.max_output_pixels and max(size) <= longest:
        return
    yield Fault(
        field="upscale_by",
        code="too_expensive",
        value=request.factor,
        problem="is too large: the result would have {}x{} pixels".format(*size),
        expected=(f"a number up to {largest:g}, so that it has" if largest > 1 else "a result of")
        + f" at most {limits.max_output_pixels} pixels and {longest} a side",
    )
