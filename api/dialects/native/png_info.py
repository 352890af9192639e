"""POST /png-info: what a picture was made of, as a request."""

from typing import Annotated, Any

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api.dialect import Services
from api.dialects.native.authentication import read_request
from api.dialects.native.template_files import templates
from api.operations import KEYS, ApiResponse, Operation
from api.recipes.draft import Source
from api.recipes.picture_text import picture_text_of
from api.recipes.read_recipe import read_recipe
from jobs.errors import InvalidRequest
from jobs.names import GenerationKind
from jobs.pictures.picture_formats import IN_WORDS
from jobs.validation.validation_faults import faults_of

_EXAMPLE = next(each.body()["init_img"] for each in templates() if each.kind == "img2img")


class PngInfoBody(BaseModel):
    """A picture with a recipe in it."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        hide_input_in_errors=True,
        json_schema_extra={"examples": [{"image": _EXAMPLE}]},
    )

    image: Annotated[
        str,
        Field(
            description=f"base64 of a {IN_WORDS} picture",
            json_schema_extra={"contentEncoding": "base64"},
        ),
    ]
    api_key: Annotated[str | None, Field(description="an API key, when no header carries one")] = (
        None
    )


class NotReadPart(BaseModel):
    """A part of a recipe that no field of a request says."""

    name: str = Field(description="as in the picture; or a field of the request")
    value: str = Field(description="as in the picture, shortened")
    why: str


class PictureRecipe(BaseModel):
    """What a picture was made of."""

    source: Source = Field(description="the program that wrote it; unknown: there is no recipe")
    text: str = Field(description="the infotext; empty: the picture has none")
    kind: GenerationKind = Field(description="of the request: /generate or /img2img")
    request: dict[str, Any] = Field(description="the fields of a request that makes such a picture")
    not_read: list[NotReadPart] = Field(description="what the request lacks of the recipe")
    size: tuple[int, int] = Field(description="width and height of the picture in pixels")


def png_info_routes(services: Services) -> Blueprint:
    """The route that reads a recipe. It stores nothing and decodes no pixel."""
    routes = Blueprint("png-info", __name__)

    @routes.post("/png-info")
    @Operation(
        body=PngInfoBody,
        responses={200: ApiResponse(description="the recipe", body=PictureRecipe)},
        errors=(400, 401, 408, 413, 415, 429, 503),
        keys=KEYS,
    )
    def png_info() -> ResponseReturnValue:
        """The recipe in a picture: this service's, AUTOMATIC1111's, InvokeAI's or ComfyUI's."""
        _, body = read_request(services, request, needs_body=True)
        try:
            encoded = PngInfoBody.model_validate(body).image
        except ValidationError as error:
            raise InvalidRequest(faults_of(error, PngInfoBody, body)) from None
        found = picture_text_of(encoded)
        recipe = read_recipe(found, services.jobs.served())
        return PictureRecipe(
            source=recipe.source,
            text=recipe.text,
            kind=recipe.kind,
            request=recipe.request,
            not_read=[
                NotReadPart(name=part.name, value=part.value, why=part.why)
                for part in recipe.not_read
            ],
            size=found.size,
        ).model_dump()

    return routes
