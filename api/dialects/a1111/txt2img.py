"""POST /sdapi/v1/txt2img."""

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from api.caller import read_request
from api.dialect import Services
from api.dialects.a1111.error_json import A1111Error
from api.dialects.a1111.fields import read_values
from api.dialects.a1111.fields_txt2img import TXT2IMG_FIELDS, TextToImageBody
from api.dialects.a1111.generation import GeneratedImages, answer, submission_of
from api.dialects.a1111.infotext import with_infotext
from api.dialects.a1111.settings import request_settings
from api.operations import KEYS, ApiResponse, Operation

ERRORS = (401, 404, 408, 409, 410, 413, 415, 422, 429, 503, 504)


def txt2img_routes(services: Services) -> Blueprint:
    """The route that draws from a text."""
    routes = Blueprint("txt2img", __name__)

    @routes.post("/txt2img")
    @Operation(
        body=TextToImageBody,
        responses={200: ApiResponse(description="the pictures", body=GeneratedImages)},
        errors=ERRORS,
        error=A1111Error,
        keys=KEYS,
    )
    def txt2img() -> ResponseReturnValue:
        """Text to image; answers when the pictures are finished."""
        caller, body = read_request(services, request)
        values = read_values(TextToImageBody, TXT2IMG_FIELDS, with_infotext(body, TXT2IMG_FIELDS))
        settings = request_settings(services, caller, values)
        values = settings.with_size(values, services.jobs.limits)
        submission = submission_of("txt2img", TXT2IMG_FIELDS, values, settings, services)
        return answer(submission, values, dict(values.of), services, caller)

    return routes
