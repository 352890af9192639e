"""POST /generate and /img2img: a body becomes a job."""

from http import HTTPStatus
from threading import BoundedSemaphore

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from api.answers import Accepted, Status
from api.auth import KeyRing, require_key
from api.body import read_object
from api.desk import Desk
from api.idempotency import IDEMPOTENCY_KEY, idempotency_key
from api.operations import KEYS, PICTURES, Answer, Operation
from api.picture_answers import picture_response
from api.presentation import describe, location_of
from api.rate import SubmitRate
from api.settings import ApiSettings
from api.waiting import wait_for_end
from jobs.idempotency import Accepted as Taken
from jobs.names import JobKind
from jobs.status import JobState, JobStatus

# What only the worker can find wrong with a request (worker.errors).
FAULTS_OF_THE_REQUEST = {"bad_prompt", "bad_request", "bad_image", "unknown_model"}
_LOCATION = {"Location": "where the job's status is found"}
ANSWERS = {
    200: Answer(
        means="of a synchronous request: the ended job, or its picture",
        body=Status,
        media=PICTURES,
        headers=_LOCATION,
    ),
    202: Answer(means="the job is queued", body=Accepted, headers=_LOCATION, job=True),
}
ERRORS = (400, 401, 408, 409, 410, 413, 415, 429, 503)


def generate_routes(
    desk: Desk, keys: KeyRing, rate: SubmitRate | None, settings: ApiSettings
) -> Blueprint:
    """The routes that start jobs."""
    routes = Blueprint("generate", __name__)
    places = BoundedSemaphore(settings.synchronous_slots)

    def start(kind: JobKind) -> ResponseReturnValue:
        body = read_object(request, settings.max_body_bytes)
        submitter = require_key(keys, request, body).submitter
        if rate is not None:
            rate.count(submitter)
        again = idempotency_key(request.headers)
        job = desk.accept(kind, body, submitter=submitter, again=again)
        if not body.get("synchronous_request"):
            return _accepted(job)
        if not places.acquire(blocking=False):
            return _accepted(job, "too many clients wait already: ask Location for the picture")
        try:
            ended = wait_for_end(desk, job.job_id, settings.sync_timeout)
        finally:
            places.release()
        if ended is None:
            return _accepted(job, "the picture is not ready yet: ask Location for it")
        return _ended(desk, ended, as_base64=bool(body.get("return_base64")))

    @routes.post("/generate")
    @Operation(
        body="txt2img", keys=KEYS, answers=ANSWERS, errors=ERRORS, parameters=(IDEMPOTENCY_KEY,)
    )
    def generate() -> ResponseReturnValue:
        """Text to image."""
        return start("txt2img")

    @routes.post("/img2img")
    @Operation(
        body="img2img", keys=KEYS, answers=ANSWERS, errors=ERRORS, parameters=(IDEMPOTENCY_KEY,)
    )
    def img2img() -> ResponseReturnValue:
        """Image to image."""
        return start("img2img")

    return routes


def _accepted(job: Taken, *warnings: str) -> ResponseReturnValue:
    location = location_of(job.job_id)
    body = {
        "task_id": job.job_id,
        "Location": location,
        "active_model": job.model,
        "Warnings": [*job.warnings, *warnings],
    }
    return body, HTTPStatus.ACCEPTED, {"Location": location}


def _ended(desk: Desk, status: JobStatus, *, as_base64: bool) -> ResponseReturnValue:
    """The answer to a client that waited: its picture, or an error it cannot take for one."""
    headers = {"Location": location_of(status.job_id)}
    match status.state:
        case JobState.SUCCESS if not as_base64:
            response = picture_response(desk, status)
            response.headers.update(headers)
            return response
        case JobState.SUCCESS:
            return describe(desk, status, images=True), HTTPStatus.OK, headers
        case JobState.CANCELLED:
            error = {"error": "the job was cancelled", "details": []}
            return {**describe(desk, status, images=False), **error}, HTTPStatus.CONFLICT, headers
        case _:
            described = {**describe(desk, status, images=False), "details": []}
            code = status.failure.code if status.failure else ""
            theirs = code in FAULTS_OF_THE_REQUEST
            answer = HTTPStatus.BAD_REQUEST if theirs else HTTPStatus.INTERNAL_SERVER_ERROR
            return described, answer, headers
