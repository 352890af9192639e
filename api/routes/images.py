"""GET /images/<id>/<n>: any picture of a finished job, and its thumbnail."""

from flask import Blueprint, Response

from api.desk import Desk
from api.operations import JOB_ID, PICTURE_ANSWERS, Operation, Parameter
from api.picture_answers import picture_response

NUMBER = Parameter(name="number", where="path", means="which picture, from 0, or `grid`")


def image_routes(desk: Desk) -> Blueprint:
    """The route that serves pictures. It needs no key: nobody can guess an id."""
    routes = Blueprint("images", __name__)

    @routes.get("/images/<job_id>/<number>")
    @Operation(answers=PICTURE_ANSWERS, errors=(404, 410, 416, 503), parameters=(JOB_ID, NUMBER))
    def image(job_id: str, number: str) -> Response:
        """Picture `number`, from 0, or `grid`."""
        return picture_response(desk, desk.records.get(job_id), number)

    @routes.get("/images/<job_id>/<number>/thumbnail")
    @Operation(answers=PICTURE_ANSWERS, errors=(404, 410, 416, 503), parameters=(JOB_ID, NUMBER))
    def thumbnail(job_id: str, number: str) -> Response:
        """The same as a small JPEG."""
        return picture_response(desk, desk.records.get(job_id), number, small=True)

    return routes
