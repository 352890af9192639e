"""POST /sdapi/v1/img2img."""

from dataclasses import replace

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from api.dialect import Services
from api.dialects.a1111.authentication import KEYS, read_request
from api.dialects.a1111.error_json import A1111Error
from api.dialects.a1111.fields import Values, read_values
from api.dialects.a1111.fields_img2img import IMG2IMG_FIELDS, ImageToImageBody
from api.dialects.a1111.generation import (
    GeneratedImages,
    answer,
    native_fields,
    submission_of,
)
from api.dialects.a1111.init_picture import LATENT, sized_picture
from api.dialects.a1111.settings import request_settings
from api.dialects.a1111.txt2img import ERRORS
from api.dialects.a1111.waiting import Submission
from api.operations import ApiResponse, Operation


def img2img_routes(services: Services) -> Blueprint:
    """The route that draws from a picture."""
    routes = Blueprint("img2img", __name__)
    max_pixels = services.jobs.limits.max_init_pixels

    @routes.post("/img2img")
    @Operation(
        body=ImageToImageBody,
        responses={200: ApiResponse(description="the pictures", body=GeneratedImages)},
        errors=ERRORS,
        error=A1111Error,
        keys=KEYS,
    )
    def img2img() -> ResponseReturnValue:
        """Image to image; answers when the pictures are finished."""
        caller, body = read_request(services, request)
        values = read_values(ImageToImageBody, IMG2IMG_FIELDS, body)
        if not values["init_images"]:
            raise NotFound("Init image not found")
        settings = request_settings(services, caller, values)
        submission = submission_of("img2img", IMG2IMG_FIELDS, values, settings, services)
        submission = _with_pictures(submission, values, max_pixels)
        parameters = dict(values.of)
        if not values["include_init_images"]:
            parameters |= {"init_images": None, "mask": None}
        return answer(submission, values, parameters, services, caller)

    return routes


def _with_pictures(submission: Submission, values: Values, max_pixels: int) -> Submission:
    """The submission with its init picture, and its mask where the engine knows masks."""
    mode, (first, *others) = values["resize_mode"], values["init_images"]
    size = (submission.body["W"], submission.body["H"])
    warnings = list(submission.warnings)
    if others:
        warnings.append(f"init_images: the first of {len(others) + 1} pictures was used")
    if mode == LATENT:
        warnings.append("resize_mode: 3 was not followed: the picture was stretched, as with 0")
    pictures = {"init_img": sized_picture(first, mode, size, max_pixels, "init_images.0")}
    if values["mask"]:
        if "mask" in native_fields("img2img"):
            pictures["mask"] = sized_picture(values["mask"], mode, size, max_pixels, "mask")
        else:
            warnings.append("mask: was not followed: the whole picture was drawn anew")
    return replace(submission, body=submission.body | pictures, warnings=warnings)
