"""POST /cancel/<id> and DELETE /status/<id>: how a job is stopped, and its pictures deleted."""

from http import HTTPStatus

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from api.answers import Ending
from api.auth import KeyRing, require_key
from api.body import read_object
from api.desk import Desk
from api.operations import JOB_ID, KEYS, Answer, Operation
from api.settings import ApiSettings
from jobs.status import JobState

ERRORS = (400, 401, 404, 408, 409, 410, 413, 415, 503)
STOPPED = Answer(means="the job waited; it is cancelled", body=Ending)
STOPPING = Answer(means="the job runs; it will stop within one evaluation", body=Ending)
DELETED = Answer(means="the job waited and is cancelled, or its pictures are deleted", body=Ending)


def cancel_routes(desk: Desk, keys: KeyRing, settings: ApiSettings) -> Blueprint:
    """The routes that end a job early. Only the key that submitted it may, or an admin key.

    To any other key a job is one that never was: it learns nothing of whose ids exist.
    """
    routes = Blueprint("cancel", __name__)

    def whose() -> str:
        body = read_object(request, settings.max_body_bytes) if request.mimetype else {}
        return require_key(keys, request, body).may_cancel

    @routes.post("/cancel/<job_id>")
    @Operation(
        answers={200: STOPPED, 202: STOPPING}, errors=ERRORS, parameters=(JOB_ID,), keys=KEYS
    )
    def cancel(job_id: str) -> ResponseReturnValue:
        """Cancel a job that waits or runs; one that has ended is a 409.

        Nothing of it is kept. The key comes in a header or in a JSON body.
        """
        return _ending(job_id, desk.cancel(job_id, by=whose()))

    @routes.delete("/status/<job_id>")
    @Operation(
        answers={200: DELETED, 202: STOPPING}, errors=ERRORS, parameters=(JOB_ID,), keys=KEYS
    )
    def delete(job_id: str) -> ResponseReturnValue:
        """Cancel a job that waits or runs, or delete the pictures of a finished one.

        The id of a job whose pictures were deleted is a 410 from then on. One that failed or was
        cancelled has nothing to delete: it is a 409.
        """
        return _ending(job_id, desk.delete(job_id, by=whose()))

    return routes


def _ending(job_id: str, state: JobState) -> ResponseReturnValue:
    said = {
        JobState.CANCELLED: "cancelled",
        JobState.SUCCESS: "deleted",
    }.get(state, "stopping")
    body = {"task_id": job_id, "State": state, "Status": said}
    return body, HTTPStatus.OK if state.final else HTTPStatus.ACCEPTED
