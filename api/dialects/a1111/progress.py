"""GET /sdapi/v1/progress: how far the picture is that this key draws."""

import time

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field

from api.caller import caller_of
from api.dialect import Services
from api.dialects.a1111.caller_options import caller_options
from api.dialects.a1111.operation_parts import described
from api.dialects.a1111.own_jobs import drawing_jobs, job_of_task
from api.operations import Parameter
from jobs.status import JobState, JobStatus

STARTED = 0.01
"""The progress of a running job before its first step: 0 means that nothing is drawn."""
SKIP_IMAGE = Parameter(
    name="skip_current_image", where="query", description="`true`, `1` or `yes`: without a preview"
)
TASK = Parameter(
    name="id_task",
    where="query",
    description="the `force_task_id` of a request; without it, the oldest running job of the key",
)


class ProgressState(BaseModel):
    """A1111's state. A job counts as one, however many pictures it has."""

    skipped: bool = False
    interrupted: bool = False
    stopping_generation: bool = False
    job: str = ""
    job_count: int = Field(default=0, description="0: nothing is drawn")
    job_timestamp: str = Field(default="0", description="when it was submitted, YYYYMMDDhhmmss")
    job_no: int = 0
    sampling_step: int = Field(default=0, description="over all pictures of the job")
    sampling_steps: int = 0


class ProgressAnswer(BaseModel):
    """The progress of one job of the caller's key."""

    progress: float = Field(default=0.0, description="0 to 1; 0: nothing is drawn, or it waits")
    eta_relative: float = Field(default=0.0, description="seconds left; 0: not known")
    state: ProgressState = ProgressState()
    current_image: str | None = Field(default=None, description="the preview, a JPEG as base64")
    textinfo: str | None = None


def progress_routes(services: Services) -> Blueprint:
    """The route that clients poll while they wait."""
    routes = Blueprint("progress", __name__)
    jobs = services.jobs

    @routes.get("/progress")
    @described(ProgressAnswer, description="the progress of the key", parameters=(SKIP_IMAGE, TASK))
    def progress() -> ResponseReturnValue:
        """The progress, the time left and a preview of what this key draws.

        Only jobs of the caller's own key count, and only those for which a client waits.
        """
        caller = caller_of(services, request)
        if task := request.args.get("id_task"):
            status = job_of_task(jobs, task, caller.submitter)
        else:
            status = next(iter(drawing_jobs(jobs, caller.submitter)), None)
        if status is None:
            return ProgressAnswer(textinfo="waiting for the request" if task else None).model_dump()
        answer = progress_of(status)
        skips = request.args.get("skip_current_image", "").lower() in ("true", "1", "yes")
        if not skips and caller_options(services, caller).live_previews_enable:
            preview = jobs.preview(status.job_id)
            answer.current_image = preview.jpeg if preview else None
        return answer.model_dump()

    return routes


def progress_of(status: JobStatus) -> ProgressAnswer:
    """The progress of a job, without its preview."""
    done = status.progress
    steps = done.steps if done else int(status.request.get("ddim_steps", 0))
    running = not status.state.final and status.state is not JobState.PENDING
    return ProgressAnswer(
        progress=max(STARTED, status.fraction) if running else status.fraction,
        eta_relative=(done.eta_seconds or 0.0) if done and running else 0.0,
        state=ProgressState(
            interrupted=status.cancel_requested or status.state is JobState.CANCELLED,
            job=status.job_id,
            job_count=0 if status.state.final else 1,
            job_timestamp=time.strftime("%Y%m%d%H%M%S", time.gmtime(status.submitted)),
            sampling_step=done.step if done else 0,
            sampling_steps=steps,
        ),
        textinfo=_in_words(status),
    )


def _in_words(status: JobStatus) -> str:
    match status.state:
        case JobState.PENDING:
            place = status.queue_position
            return f"waiting: place {place} in the queue" if place else "waiting"
        case JobState.LOADING:
            return f"loading the model {status.model}"
        case JobState.PROGRESS if status.progress:
            at = status.progress
            return f"picture {at.image} of {at.images}, step {at.step} of {at.steps}"
        case JobState.FAILURE if status.failure:
            return f"failed: {status.failure.message}"
        case JobState.SUCCESS:
            return "done"
        case JobState.CANCELLED:
            return "interrupted"
        case _:
            return "running"
