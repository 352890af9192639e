"""POST /sdapi/v1/extra-single-image and /extra-batch-images: the upscaler."""

import base64
import html
from dataclasses import dataclass

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field

from api.auth import Caller
from api.caller import read_request
from api.dialect import Services
from api.dialects.a1111.caller_options import caller_options
from api.dialects.a1111.error_json import A1111Error
from api.dialects.a1111.extras_resize import RESAMPLINGS, cropped, resampled, wanted_size
from api.dialects.a1111.fields import Values, read_values, translated
from api.dialects.a1111.fields_extras import (
    BATCH_FIELDS,
    NO_UPSCALER,
    SINGLE_FIELDS,
    BatchImagesBody,
    SingleImageBody,
)
from api.dialects.a1111.generation import INSTALLED_UPSCALER
from api.dialects.a1111.init_picture import picture_size, read_picture
from api.dialects.a1111.txt2img import ERRORS
from api.dialects.a1111.waiting import Submission, finished
from api.operations import KEYS, ApiResponse, Operation
from api.recipes.picture_text import picture_text_of
from jobs.limits import MIN_SIDE
from jobs.parameters.output import OUTPUT_FIELDS
from jobs.pictures.init_image import read_init_image
from jobs.validation.validation_faults import safe_value

MAX_FACTOR = 8
"""The largest `upscale_by` of a native request."""
_WRITTEN = {
    "init_img": "image",
    "upscale_by": "upscaling_resize",
    "output_width": "upscaling_resize_w",
    "output_height": "upscaling_resize_h",
}


class SingleImage(BaseModel):
    """The answer to extra-single-image."""

    html_info: str = Field(description="what was done, as HTML")
    image: str | None = Field(description="as base64")
    warnings: list[str] = Field(description="what could not be followed")


class BatchImages(BaseModel):
    """The answer to extra-batch-images."""

    html_info: str = Field(description="what was done, as HTML")
    images: list[str] = Field(description="as base64")
    warnings: list[str] = Field(description="what could not be followed")


@dataclass(frozen=True)
class Processed:
    """One finished picture: its file, what was done, and what could not be followed."""

    file: bytes
    done: str
    warnings: tuple[str, ...] = ()


def extras_routes(services: Services) -> Blueprint:
    """The routes that make pictures larger."""
    routes = Blueprint("extras", __name__)

    @routes.post("/extra-single-image")
    @Operation(
        body=SingleImageBody,
        responses={200: ApiResponse(description="the picture", body=SingleImage)},
        errors=ERRORS,
        error=A1111Error,
        keys=KEYS,
    )
    def single() -> ResponseReturnValue:
        """Make one picture larger."""
        caller, body = read_request(services, request)
        values = read_values(SingleImageBody, SINGLE_FIELDS, body)
        ignored = translated(SINGLE_FIELDS, values, ()).warnings
        processed = _processed(services, caller, values, values["image"], "image")
        warnings = [*ignored, *processed.warnings]
        return SingleImage(
            html_info=_html(processed.done, *warnings),
            image=_base64(processed.file) if values["show_extras_results"] else None,
            warnings=warnings,
        ).model_dump()

    @routes.post("/extra-batch-images")
    @Operation(
        body=BatchImagesBody,
        responses={200: ApiResponse(description="the pictures", body=BatchImages)},
        errors=ERRORS,
        error=A1111Error,
        keys=KEYS,
    )
    def batch() -> ResponseReturnValue:
        """Make several pictures larger, one after the other."""
        caller, body = read_request(services, request)
        values = read_values(BatchImagesBody, BATCH_FIELDS, body)
        ignored = translated(BATCH_FIELDS, values, ()).warnings
        processed = [
            _processed(services, caller, values, picture.data, f"imageList.{index}.data")
            for index, picture in enumerate(values["imageList"])
        ]
        warnings = list(
            dict.fromkeys([*ignored, *(each for one in processed for each in one.warnings)])
        )
        done = list(dict.fromkeys(one.done for one in processed))
        shown = processed if values["show_extras_results"] else []
        return BatchImages(
            html_info=_html(*done, *warnings),
            images=[_base64(one.file) for one in shown],
            warnings=warnings,
        ).model_dump()

    return routes


def _processed(
    services: Services, caller: Caller, values: Values, text: str, field: str
) -> Processed:
    """One picture at its new size.

    Raises:
        InvalidRequest: it is no picture, or the result would be too large.
        What `finished` raises.
    """
    png = read_picture(text, read_init_image, services.jobs.limits.max_init_pixels, field)
    options = caller_options(services, caller)
    upscaler = values["upscaler_1"]
    if upscaler in (NO_UPSCALER, ""):
        infotext = picture_text_of(text, field).infotext
        file = resampled(png, picture_size(png), upscaler, infotext, options)
        return Processed(file, "No upscaler was chosen: the size is unchanged")
    png = cropped(png, values)
    width, height = picture_size(png)
    factor = values["upscaling_resize"]
    by_factor = values["resize_mode"] == 0 and 1 < factor <= MAX_FACTOR
    least = 1 if by_factor or upscaler in RESAMPLINGS else MIN_SIDE
    size = wanted_size(values, width, height, least)
    done = f"Postprocess upscale to: {size[0]}x{size[1]}, Postprocess upscaler: {upscaler}"
    if upscaler in RESAMPLINGS:
        infotext = picture_text_of(text, field).infotext
        return Processed(resampled(png, size, upscaler, infotext, options), done)
    warnings: list[str] = []
    if upscaler != INSTALLED_UPSCALER:
        shown = safe_value("upscaler_1", upscaler)
        warnings.append(f"upscaler_1: {shown!r} is not installed; {INSTALLED_UPSCALER} was used")
    submission = Submission(
        kind="upscale",
        body={
            "init_img": _base64(png),
            **(
                {"upscale_by": factor} if by_factor else dict(zip(OUTPUT_FIELDS, size, strict=True))
            ),
            **options.format_fields,
            "skip_save": True,
            "return_base64": True,
            "synchronous_request": True,
        },
        warnings=warnings,
        written=_WRITTEN | {"init_img": field},
    )
    status = finished(services, submission, caller)
    return Processed(services.jobs.pictures(status)[0], done, status.warnings)


def _html(*lines: str) -> str:
    return "".join(f"<p>{html.escape(line)}</p>" for line in lines)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
