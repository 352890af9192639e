"""GET / and /pages/<file>: the page to work in, and the files of all pages."""

from flask import Blueprint, Response

from api.errors import NoSuchPage
from api.operations import Answer, Operation, Parameter
from api.page_files import TYPES, page_files, page_response

FILE = Parameter(name="file", where="path", means="a file of the pages")
UNCHANGED = Answer(means="the browser has the file already")


def page_routes() -> Blueprint:
    """The routes of what people look at. They need no key: what they show does."""
    routes = Blueprint("pages", __name__)

    @routes.get("/")
    @Operation(
        answers={200: Answer(means="the page", media=("text/html",)), 304: UNCHANGED},
    )
    def work() -> Response:
        """The page to work in."""
        return page_response("work.html")

    @routes.get("/pages/<file>")
    @Operation(
        answers={200: Answer(means="the file", media=tuple(TYPES.values())), 304: UNCHANGED},
        errors=(404,),
        parameters=(FILE,),
    )
    def part(file: str) -> Response:
        """A style sheet, module or drawing of the pages."""
        if file not in page_files():
            raise NoSuchPage("the pages have no file of this name")
        return page_response(file)

    return routes
