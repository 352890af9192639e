"""GET /status/<id>: the status of a job, and its pictures once it is finished."""

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from api.dialects.native.picture_response import picture_response
from api.dialects.native.status_json import status_json
from api.dialects.native.status_models import Status
from api.job_service import JobService
from api.operations import JOB_ID, PICTURE_RESPONSES, PICTURES, ApiResponse, Operation, Parameter
from jobs.status import JobState

IMAGES = Parameter(
    name="images", where="query", description="`false`, `0` or `no` leaves the pictures out"
)


def status_routes(jobs: JobService) -> Blueprint:
    """The route for a job's status. It needs no key: a job's id cannot be guessed."""
    routes = Blueprint("status", __name__)

    @routes.get("/status/<job_id>")
    @Operation(
        responses={
            **PICTURE_RESPONSES,
            200: ApiResponse(
                description="the job's status, or its picture", body=Status, media=PICTURES
            ),
        },
        errors=(404, 410, 416, 503),
        parameters=(JOB_ID, IMAGES),
    )
    def status(job_id: str) -> ResponseReturnValue:
        """The status of a job; of a finished one its pictures too, unless ?images=false.

        With `return_base64` the pictures are in the JSON; without it the response is the picture.
        """
        job = jobs.status(job_id)
        with_pictures = request.args.get("images", "true").lower() not in ("false", "0", "no")
        if not with_pictures or job.state is not JobState.SUCCESS:
            return status_json(job)
        if job.request.get("return_base64"):
            return status_json(job, jobs.pictures(job))
        return picture_response(jobs, job)

    return routes
