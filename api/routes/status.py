"""GET /status/<id>: how a job is doing, and its pictures when it is done."""

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from api.answers import Status
from api.desk import Desk
from api.operations import JOB_ID, PICTURE_ANSWERS, PICTURES, Answer, Operation, Parameter
from api.picture_answers import picture_response
from api.presentation import describe
from jobs.status import JobState

IMAGES = Parameter(
    name="images", where="query", means="`false`, `0` or `no` leaves the pictures out"
)


def status_routes(desk: Desk) -> Blueprint:
    """The route that tells how a job is doing. It needs no key: nobody can guess an id."""
    routes = Blueprint("status", __name__)

    @routes.get("/status/<job_id>")
    @Operation(
        answers={
            **PICTURE_ANSWERS,
            200: Answer(means="how the job is doing, or its picture", body=Status, media=PICTURES),
        },
        errors=(404, 410, 416, 503),
        parameters=(JOB_ID, IMAGES),
    )
    def status(job_id: str) -> ResponseReturnValue:
        """The status; of a finished job with its pictures, unless `?images=false`.

        With `return_base64` they are in the JSON; without, the answer is the picture itself.
        """
        found = desk.records.get(job_id)
        wanted = request.args.get("images", "true").lower() not in ("false", "0", "no")
        if not wanted or found.state is not JobState.SUCCESS:
            return describe(desk, found, images=False), {"Cache-Control": "no-store"}
        if found.request.get("return_base64"):
            return describe(desk, found, images=True)
        return picture_response(desk, found)

    return routes
