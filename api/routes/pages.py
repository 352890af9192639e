"""GET / and /pages/<file>: the page with the form, and the files of all pages."""

from flask import Blueprint, Response

from api.errors import NoSuchPage
from api.operations import ApiResponse, Operation, Parameter
from api.page_files import TYPES, page_files, page_response

FILE = Parameter(name="file", where="path", description="a file of the pages")
NOT_MODIFIED = ApiResponse(description="the browser's copy is current")


def page_routes() -> Blueprint:
    """The routes of the pages. They need no key; the requests that the pages make do."""
    routes = Blueprint("pages", __name__)

    @routes.get("/")
    @Operation(
        responses={
            200: ApiResponse(description="the page", media=("text/html",)),
            304: NOT_MODIFIED,
        },
    )
    def form_page() -> Response:
        """The page with the form."""
        return page_response("generate.html")

    @routes.get("/pages/<file>")
    @Operation(
        responses={
            200: ApiResponse(description="the file", media=tuple(TYPES.values())),
            304: NOT_MODIFIED,
        },
        errors=(404,),
        parameters=(FILE,),
    )
    def page_file(file: str) -> Response:
        """A style sheet, script or icon of the pages."""
        if file not in page_files():
            raise NoSuchPage("the pages have no file of this name")
        return page_response(file)

    return routes
