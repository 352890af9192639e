"""GET /images/<id>/<n>: any picture of a finished job, and its thumbnail."""

from flask import Blueprint, Response

from api.dialects.native.picture_response import picture_response
from api.job_service import JobService
from api.operations import JOB_ID, PICTURE_RESPONSES, Operation, Parameter

ERRORS = (404, 410, 416, 503)
NUMBER = Parameter(
    name="number", where="path", description="the picture's number from 0, or `grid`"
)


def image_routes(jobs: JobService) -> Blueprint:
    """The routes that serve pictures. They need no key: a job's id cannot be guessed."""
    routes = Blueprint("images", __name__)

    @routes.get("/images/<job_id>/<number>")
    @Operation(responses=PICTURE_RESPONSES, errors=ERRORS, parameters=(JOB_ID, NUMBER))
    def image(job_id: str, number: str) -> Response:
        """A picture of a job: its number, from 0, or grid."""
        return picture_response(jobs, jobs.status(job_id), number)

    @routes.get("/images/<job_id>/<number>/thumbnail")
    @Operation(responses=PICTURE_RESPONSES, errors=ERRORS, parameters=(JOB_ID, NUMBER))
    def thumbnail(job_id: str, number: str) -> Response:
        """The same picture as a small JPEG."""
        return picture_response(jobs, jobs.status(job_id), number, small=True)

    return routes
