"""GET /images/<id>/<n>: any picture of a finished job."""

from flask import Blueprint, Response

from api.desk import Desk
from api.presentation import picture_response


def image_routes(desk: Desk) -> Blueprint:
    """The route that serves pictures. It needs no key: nobody can guess an id."""
    routes = Blueprint("images", __name__)

    @routes.get("/images/<job_id>/<number>")
    def image(job_id: str, number: str) -> Response:
        """Picture `number`, from 0, or `grid`."""
        return picture_response(desk, desk.records.get(job_id), number)

    return routes
