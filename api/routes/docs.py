"""GET /openapi.json, /openapi/<dialect>.json and /docs: OpenAPI, and Swagger UI over it."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from flask import Blueprint, Flask, Response
from flask.typing import ResponseReturnValue
from flask_swagger_ui import get_swaggerui_blueprint
from pydantic import RootModel

from api.errors import NoSuchDocument
from api.http.response_headers import content_security_policy
from api.openapi import DIALECTS, NATIVE, TITLE, document
from api.operations import ApiResponse, Operation, Parameter
from jobs.limits import Limits

DOCS = "/docs"
OPENAPI, OPENAPI_OF = "/openapi.json", "/openapi/{}.json"
LOGO_STYLE = b".logo_small_svg__cls-2{fill:#fff}.logo_small_svg__cls-3{fill:#85ea2d}"
"""The style sheet inside the logo of Swagger UI's bar."""
PAGE = Operation(
    summary="The documents as a page, and the files of that page.",
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
    """Add the documents and their page.

    They have the routes of `app` at their first request.

    Args:
        app: its dialects are registered, in `app.extensions`, too.
        limits: as of `document`.
    """
    app.register_blueprint(_documents(app, limits))
    pages = _pages([name for name in app.extensions[DIALECTS] if name != NATIVE])
    app.register_blueprint(pages)
    PAGE(app.view_functions[f"{pages.name}.show"])


def _documents(app: Flask, limits: Limits) -> Blueprint:
    routes = Blueprint("docs", __name__)

    @cache
    def cached(dialect: str) -> dict[str, Any]:
        return document(app, limits, dialect)

    @routes.get(OPENAPI)
    @Operation(responses={200: ApiResponse(description="this document", body=OpenApi)})
    def openapi() -> ResponseReturnValue:
        """The OpenAPI document of this service's own API."""
        return cached(NATIVE)

    @routes.get(OPENAPI_OF.format("<dialect>"))
    @Operation(
        responses={200: ApiResponse(description="the document", body=OpenApi)},
        errors=(404,),
        parameters=(Parameter(name="dialect", where="path", description="its name"),),
    )
    def openapi_of_dialect(dialect: str) -> ResponseReturnValue:
        """The OpenAPI document of another dialect: the API of another tool that this one speaks."""
        others = [name for name in app.extensions[DIALECTS] if name != NATIVE]
        if dialect not in others:
            raise NoSuchDocument(
                f"there is no dialect {dialect!r}; there are: {', '.join(others) or 'none'}; "
                f"{OPENAPI} describes the service's own"
            )
        return cached(dialect)

    return routes


def _pages(others: Sequence[str]) -> Blueprint:
    """Swagger UI over the documents. All its files are served from here."""
    pages = get_swaggerui_blueprint(
        DOCS,
        OPENAPI,
        config={
            "app_name": "Stable Diffusion service",
            **_choice(others),
            # By default the page sends the document to a validator on the Internet.
            "validatorUrl": None,
            "oauth2RedirectUrl": f"{DOCS}/oauth2-redirect.html",
        },
    )

    @pages.after_request
    def add_policy(response: Response) -> Response:
        """The page has an inline script; it is made from the configuration above alone."""
        page = response.get_data() if response.mimetype == "text/html" else b""
        styles = [LOGO_STYLE] if b"SwaggerUIBundle" in page else []
        response.headers["Content-Security-Policy"] = content_security_policy(page, styles)
        return response

    return pages


def _choice(others: Sequence[str]) -> dict[str, Any]:
    """A bar above the document lets the reader choose one, if there are several."""
    if not others:
        return {"layout": "BaseLayout"}
    addresses = {TITLE: OPENAPI} | {name: OPENAPI_OF.format(name) for name in others}
    urls = [{"name": name, "url": url} for name, url in addresses.items()]
    return {"layout": "StandaloneLayout", "urls": urls}
