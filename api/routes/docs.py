"""GET /openapi.json and /docs: the OpenAPI document, and Swagger UI over it."""

from functools import cache
from typing import Any

from flask import Blueprint, Flask, Response
from flask.typing import ResponseReturnValue
from flask_swagger_ui import get_swaggerui_blueprint
from pydantic import RootModel

from api.openapi import document
from api.operations import ApiResponse, Operation, Parameter
from api.response_headers import content_security_policy
from jobs.limits import Limits

DOCS = "/docs"
OPENAPI = "/openapi.json"
PAGE = Operation(
    summary="This document as a page, and the files of that page.",
    responses={
        200: ApiResponse(
            description="a page, or a file that it needs",
            media=("text/html", "text/css", "text/javascript", "image/png"),
        ),
        206: ApiResponse(
            description="a part of a file", media=("text/css", "text/javascript", "image/png")
        ),
        304: ApiResponse(description="the client's copy is current"),
    },
    errors=(404, 416),
    parameters=(Parameter(name="path", where="path", description="a file of the page"),),
)


class OpenApi(RootModel[dict[str, Any]]):
    """An OpenAPI document."""


def add_docs(app: Flask, limits: Limits) -> None:
    """Add the document and its page. The document has the routes of `app` at the first request."""
    app.register_blueprint(_document(app, limits))
    pages = _pages()
    app.register_blueprint(pages)
    PAGE(app.view_functions[f"{pages.name}.show"])


def _document(app: Flask, limits: Limits) -> Blueprint:
    routes = Blueprint("docs", __name__)

    @cache
    def cached() -> dict[str, Any]:
        return document(app, limits)

    @routes.get(OPENAPI)
    @Operation(responses={200: ApiResponse(description="this document", body=OpenApi)})
    def openapi() -> ResponseReturnValue:
        """The OpenAPI document of this service."""
        return cached()

    return routes


def _pages() -> Blueprint:
    """Swagger UI over the document. All its files are served from here."""
    pages = get_swaggerui_blueprint(
        DOCS,
        OPENAPI,
        config={
            "app_name": "Stable Diffusion service",
            "layout": "BaseLayout",
            # By default the page sends the document to a validator on the Internet.
            "validatorUrl": None,
            "oauth2RedirectUrl": f"{DOCS}/oauth2-redirect.html",
        },
    )

    @pages.after_request
    def add_policy(response: Response) -> Response:
        """The page has an inline script; it is made from the configuration above alone."""
        page = response.get_data() if response.mimetype == "text/html" else b""
        response.headers["Content-Security-Policy"] = content_security_policy(page)
        return response

    return pages
