"""GET /openapi.json and /docs: the contract, for programs and for people."""

from functools import cache
from typing import Any

from flask import Blueprint, Flask
from flask.typing import ResponseReturnValue
from flask_swagger_ui import get_swaggerui_blueprint

from api.answers import OpenApi
from api.openapi import document
from api.operations import Answer, Operation, Parameter
from jobs.limits import Limits

DOCS = "/docs"
OPENAPI = "/openapi.json"
PAGE = Operation(
    does="This document as a page, and the files of that page.",
    answers={
        200: Answer(
            means="a page, or a file that it needs",
            media=("text/html", "text/css", "text/javascript", "image/png"),
        ),
        206: Answer(means="a part of a file", media=("text/css", "text/javascript", "image/png")),
        304: Answer(means="the client has the file already"),
    },
    errors=(404, 416),
    parameters=(Parameter(name="path", where="path", means="a file of the page"),),
)


def add_docs(app: Flask, limits: Limits) -> None:
    """Add the document and its page. Whatever routes `app` has when it is first asked are in it."""
    app.register_blueprint(_document(app, limits))
    pages = _pages()
    app.register_blueprint(pages)
    PAGE(app.view_functions[f"{pages.name}.show"])


def _document(app: Flask, limits: Limits) -> Blueprint:
    routes = Blueprint("docs", __name__)

    @cache
    def made() -> dict[str, Any]:
        return document(app, limits)

    @routes.get(OPENAPI)
    @Operation(answers={200: Answer(means="this document", body=OpenApi)})
    def openapi() -> ResponseReturnValue:
        """The OpenAPI document of this service."""
        return made()

    return routes


def _pages() -> Blueprint:
    """Swagger UI over the document, with all its files from here."""
    return get_swaggerui_blueprint(
        DOCS,
        OPENAPI,
        config={
            "app_name": "Stable Diffusion service",
            "layout": "BaseLayout",
            # Left alone, the page would ask a validator on the Internet about the document.
            "validatorUrl": None,
            "oauth2RedirectUrl": f"{DOCS}/oauth2-redirect.html",
        },
    )
