"""POST /generate, /img2img and /upscale: a body becomes a job."""

from http import HTTPStatus

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from api.dialect import Services
from api.dialects.native.authentication import read_request
from api.dialects.native.picture_response import picture_response
from api.dialects.native.status_json import location_of, status_json
from api.dialects.native.status_models import AcceptedJob, Status
from api.http.client_gone import client_gone
from api.idempotency import IDEMPOTENCY_KEY, idempotency_key
from api.job_service import JobService
from api.operations import KEYS, PICTURES, ApiResponse, Operation
from jobs.names import JobKind
from jobs.records.idempotency import SubmittedJob
from jobs.status import JobState, JobStatus

_LOCATION = {"Location": "the address of the job's status"}
RESPONSES = {
    200: ApiResponse(
        description="of a synchronous request: the ended job, or its picture",
        body=Status,
        media=PICTURES,
        headers=_LOCATION,
    ),
    202: ApiResponse(
        description="the job is queued", body=AcceptedJob, headers=_LOCATION, job=True
    ),
}
ERRORS = (400, 401, 408, 409, 410, 413, 415, 429, 503)
WAIT_WARNINGS = {
    "no_slot": "too many clients are waiting already: poll Location for the picture",
    "no_share": "too many requests of this key or address are waiting already: poll Location for "
    "the picture",
    "abandoned": "the client has closed the connection: poll Location for the picture",
    "unfinished": "the picture is not ready yet: poll Location for it",
}


def generate_routes(services: Services) -> Blueprint:
    """The routes that submit jobs."""
    routes = Blueprint("generate", __name__)
    jobs = services.jobs

    def start(kind: JobKind) -> ResponseReturnValue:
        caller, body = read_request(services, request, needs_body=True)
        submitter = caller.submitter
        key = idempotency_key(request.headers)
        if not body.get("synchronous_request"):
            return _accepted(jobs.submit(kind, body, submitter=submitter, idempotency_key=key))
        result = jobs.submit_and_wait(
            kind,
            body,
            submitter=submitter,
            idempotency_key=key,
            address=request.remote_addr or "",
            abandoned=client_gone(request.environ),
            keep=True,  # as in the reference: the job goes on
        )
        if result.status is None:
            return _accepted(result.job, WAIT_WARNINGS[result.reason])
        return _ended(jobs, result.status, as_base64=bool(body.get("return_base64")))

    @routes.post("/generate")
    @Operation(
        body="txt2img", keys=KEYS, responses=RESPONSES, errors=ERRORS, parameters=(IDEMPOTENCY_KEY,)
    )
    def generate() -> ResponseReturnValue:
        """Text to image."""
        return start("txt2img")

    @routes.post("/img2img")
    @Operation(
        body="img2img", keys=KEYS, responses=RESPONSES, errors=ERRORS, parameters=(IDEMPOTENCY_KEY,)
    )
    def img2img() -> ResponseReturnValue:
        """Image to image."""
        return start("img2img")

    @routes.post("/upscale")
    @Operation(
        body="upscale", keys=KEYS, responses=RESPONSES, errors=ERRORS, parameters=(IDEMPOTENCY_KEY,)
    )
    def upscale() -> ResponseReturnValue:
        """Enlarge a picture, without a model."""
        return start("upscale")

    return routes


def _accepted(job: SubmittedJob, *warnings: str) -> ResponseReturnValue:
    location = location_of(job.job_id)
    answer = AcceptedJob(
        task_id=job.job_id,
        Location=location,
        active_model=job.model,
        Warnings=[*job.warnings, *warnings],
    )
    return answer.model_dump(), HTTPStatus.ACCEPTED, {"Location": location}


def _ended(jobs: JobService, status: JobStatus, *, as_base64: bool) -> ResponseReturnValue:
    """The answer to a client that has waited: its picture, or an error status."""
    headers = {"Location": location_of(status.job_id)}
    match status.state:
        case JobState.SUCCESS if not as_base64:
            response = picture_response(jobs, status)
            response.headers.update(headers)
            return response
        case JobState.SUCCESS:
            return status_json(status, jobs.pictures(status)), HTTPStatus.OK, headers
        case JobState.CANCELLED:
            error = {"error": "the job was cancelled", "details": []}
            return status_json(status) | error, HTTPStatus.CONFLICT, headers
        case _:
            requests_fault = status.failure is not None and status.failure.requests_fault
            http_status = (
                HTTPStatus.BAD_REQUEST if requests_fault else HTTPStatus.INTERNAL_SERVER_ERROR
            )
            return status_json(status) | {"details": []}, http_status, headers
