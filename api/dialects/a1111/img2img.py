"""POST /sdapi/v1/img2img."""

from dataclasses import replace

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from api.caller import read_request
from api.dialect import Services
from api.dialects.a1111.error_json import A1111Error
from api.dialects.a1111.fields import Values, read_values
from api.dialects.a1111.fields_img2img import IMG2IMG_FIELDS, ImageToImageBody
from api.dialects.a1111.generation import (
    GeneratedImages,
    answer,
    submission_of,
)
from api.dialects.a1111.infotext import with_infotext
from api.dialects.a1111.init_picture import (
    LATENT,
    read_picture,
    sized_picture,
)
from api.dialects.a1111.settings import request_settings
from api.dialects.a1111.txt2img import ERRORS
from api.dialects.a1111.waiting import Submission
from api.operations import KEYS, ApiResponse, Operation
from jobs.pictures.inputs import INPUT_ROLES

USUAL_PADDINGS = (0, 32)
"""Of the API and of the web UI, which clients send with every mask."""
_NO_PADDING = "inpaint_full_res_padding: {} has an effect only with inpaint_full_res"


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
        values = read_values(ImageToImageBody, IMG2IMG_FIELDS, with_infotext(body, IMG2IMG_FIELDS))
        if not values["init_images"]:
            raise NotFound("Init image not found")
        settings = request_settings(services, caller, values)
        values = settings.with_size(values, services.jobs.limits)
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
    warnings = list(submission.warnings)
    if others:
        warnings.append(f"init_images: the first of {len(others) + 1} pictures was used")
    if mode == LATENT:
        warnings.append("resize_mode: 3 was not followed: the picture was stretched, as with 0")
    sent = {"init_img": (first, "init_images.0")}
    if values["mask"]:
        sent["mask"] = (values["mask"], "mask")
    body = dict(submission.body)
    if body.get("mask_area") == "whole":
        padding = body.pop("mask_padding")
        if padding not in USUAL_PADDINGS:
            warnings.append(_NO_PADDING.format(padding))
    size = (body["W"], body["H"])
    for role in INPUT_ROLES.values():
        if role.field in sent:
            text, name = sent.pop(role.field)
            png = read_picture(text, role.read, max_pixels, name)
            keeps_size = body.get("mask_area") == "masked"
            body[role.field] = text if keeps_size else sized_picture(text, png, mode, size)
    if sent:
        warnings.append("mask: was not followed: the whole picture was drawn anew")
    return replace(submission, body=body, warnings=warnings)
