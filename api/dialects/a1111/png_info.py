"""POST /sdapi/v1/png-info: what a picture was made of."""

from typing import Annotated

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api.caller import read_request
from api.dialect import Services
from api.dialects.a1111.operation_parts import described
from api.recipes.infotext_fields import fields_of_infotext
from api.recipes.picture_text import picture_text_of
from jobs.errors import InvalidRequest
from jobs.pictures.picture_formats import IN_WORDS
from jobs.validation.validation_faults import faults_of


class PngInfoRequest(BaseModel):
    """A picture with text in it."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    image: Annotated[
        str, Field(description=f"base64 of a {IN_WORDS} picture; a `data:` URL is accepted")
    ]


class PngInfo(BaseModel):
    """What programs have written into a picture."""

    info: str = Field(description="the infotext; empty: the picture has none")
    items: dict[str, str] = Field(description="its other texts by name")
    parameters: dict[str, str] = Field(description="the fields of the infotext, by A1111's names")


def png_info_routes(services: Services) -> Blueprint:
    """The route that reads a picture's text. It stores nothing."""
    routes = Blueprint("png_info", __name__)

    @routes.post("/png-info")
    @described(PngInfo, description="the texts of the picture", body=PngInfoRequest)
    def png_info() -> ResponseReturnValue:
        """The text in a picture: A1111's infotext, its fields, and what else is there."""
        _, body = read_request(services, request)
        try:
            encoded = PngInfoRequest.model_validate(body).image
        except ValidationError as error:
            raise InvalidRequest(faults_of(error, PngInfoRequest, body)) from None
        found = picture_text_of(encoded)
        return PngInfo(
            info=found.infotext,
            items=found.items,
            parameters=fields_of_infotext(found.infotext),
        ).model_dump()

    return routes
