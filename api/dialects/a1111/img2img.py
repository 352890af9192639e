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
    submission_of,
)
from api.dialects.a1111.infotext import with_infotext
from api.dialects.a1111.init_picture import (
    LATENT,
    STRETCH,
    picture_size,
    read_picture,
    sized_picture,
)
from api.dialects.a1111.settings import request_settings
from api.dialects.a1111.txt2img import ERRORS
from api.dialects.a1111.waiting import Submission
from api.operations import ApiResponse, Operation
from jobs.inputs import INPUT_ROLES
from jobs.limits import MAX_OUTPUT_SIDE, MIN_SIDE


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
    size = (body["W"], body["H"])
    for role in INPUT_ROLES.values():
        if role.field in sent:
            text, name = sent.pop(role.field)
            png = read_picture(text, role.read, max_pixels, name)
            if role.field == "init_img" and body.get("mask_area") == "masked":
                output = body.get("output_width", size[0]), body.get("output_height", size[1])
                body |= _own_size(png, output, warnings)
                mode = STRETCH
            body[role.field] = sized_picture(text, png, mode, size)
    if sent:
        warnings.append("mask: was not followed: the whole picture was drawn anew")
    return replace(submission, body=body, warnings=warnings)


def _own_size(png: bytes, wanted: tuple[int, int], warnings: list[str]) -> dict[str, int]:
    """With `inpaint_full_res` the result has the size of the picture, not `width` and `height`."""
    own = picture_size(png)
    if own == wanted or not MIN_SIDE <= min(own) <= max(own) <= MAX_OUTPUT_SIDE:
        return {}
    warnings.append(
        f"inpaint_full_res: the picture has {own[0]}×{own[1]} pixels, and so has the result, which "
        "was drawn at another size"
    )
    return {"output_width": own[0], "output_height": own[1]}
