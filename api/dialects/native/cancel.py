"""POST /cancel/<id> and DELETE /status/<id>: stop a job, delete its pictures."""

from http import HTTPStatus

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from api.dialect import Services
from api.dialects.native.authentication import read_request
from api.dialects.native.status_models import EndedJob
from api.operations import JOB_ID, KEYS, ApiResponse, Operation
from jobs.status import JobState

ERRORS = (400, 401, 404, 408, 409, 410, 413, 415, 429, 503)
CANCELLED = ApiResponse(description="the job was waiting; it is cancelled", body=EndedJob)
STOPPING = ApiResponse(
    description="the job is running; it stops after the current network evaluation", body=EndedJob
)
DELETED = ApiResponse(
    description="the job was waiting and is cancelled, or its pictures are deleted", body=EndedJob
)


def cancel_routes(services: Services) -> Blueprint:
    """The routes that end a job early. They need the key that submitted it, or an admin key.

    Any other key gets the answer for an unknown id, so that it does not learn which ids exist.
    """
    routes = Blueprint("cancel", __name__)
    jobs = services.jobs

    def may_cancel() -> str:
        caller, _ = read_request(services, request)
        return caller.may_cancel

    @routes.post("/cancel/<job_id>")
    @Operation(
        responses={200: CANCELLED, 202: STOPPING}, errors=ERRORS, parameters=(JOB_ID,), keys=KEYS
    )
    def cancel(job_id: str) -> ResponseReturnValue:
        """Cancel a waiting or running job; an ended one returns 409.

        None of its pictures are kept. The key comes in a header or in a JSON body.
        """
        return _ended(job_id, jobs.cancel(job_id, by=may_cancel()))

    @routes.delete("/status/<job_id>")
    @Operation(
        responses={200: DELETED, 202: STOPPING}, errors=ERRORS, parameters=(JOB_ID,), keys=KEYS
    )
    def delete(job_id: str) -> ResponseReturnValue:
        """Cancel a waiting or running job, or delete the pictures of a finished one.

        After deletion the job's id returns 410. A failed or cancelled job has nothing to delete and
        returns 409.
        """
        return _ended(job_id, jobs.delete(job_id, by=may_cancel()))

    return routes


def _ended(job_id: str, state: JobState) -> ResponseReturnValue:
    match state:
        case JobState.CANCELLED:
            answer = EndedJob(task_id=job_id, State=state, Status="cancelled")
        case JobState.SUCCESS:
            answer = EndedJob(task_id=job_id, State=state, Status="deleted")
        case _:
            answer = EndedJob(task_id=job_id, State=state, Status="stopping")
    return answer.model_dump(), HTTPStatus.OK if state.final else HTTPStatus.ACCEPTED
