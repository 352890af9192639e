"""Status → JSON: a job's status, its preview, its address."""

import base64
from collections.abc import Sequence
from typing import Any

from api.dialects.native.status_models import (
    JobFailure,
    JobPreview,
    ListedJob,
    Metadata,
    Postponed,
    Status,
)
from api.job_pictures import pictures_by_name
from jobs.status import JobState, JobStatus, Preview, Result


def location_of(job_id: str) -> str:
    """The address of a job's status."""
    return f"/status/{job_id}"


def status_json(status: JobStatus, pictures: Sequence[bytes] = ()) -> dict[str, Any]:
    """The status as JSON.

    Args:
        status: the job.
        pictures: encoded pictures to include as base64.
    """
    return _fill(Status.model_construct(), status, pictures).to_json()


def listed_job_json(status: JobStatus) -> dict[str, Any]:
    """The job's status with its request and times, as /recent lists it."""
    job = ListedJob.model_construct(
        Location=location_of(status.job_id),
        kind=status.kind,
        submitted=status.submitted,
        started=status.started,
        finished=status.finished,
        request=status.request,
    )
    return _fill(job, status).to_json()


def preview_json(job_id: str, preview: Preview) -> dict[str, Any]:
    """A preview as the data of an event."""
    return JobPreview(
        task_id=job_id,
        step=preview.step,
        steps=preview.steps,
        image_index=preview.image,
        width=preview.width,
        height=preview.height,
        Preview=f"data:image/jpeg;base64,{preview.jpeg}",
    ).to_json()


def _fill(answer: Status, status: JobStatus, pictures: Sequence[bytes] = ()) -> Status:
    """Set the fields that the status has; only those are serialised."""
    answer.State = status.state
    answer.Status = _sentence(status)
    answer.Progress = status.fraction
    answer.task_id = status.job_id
    answer.type = status.type
    answer.active_model = status.model
    answer.Warnings = list(status.warnings)
    if status.loading is not None:
        answer.Loading = status.loading
    if status.queue_position is not None:
        answer.queue_place = status.queue_position
    if status.postponed is not None:
        failure = status.postponed.failure
        answer.postponed = Postponed(
            times=status.postponed.times,
            most=status.postponed.most,
            code=failure.code,
            message=failure.message,
            retry_at=status.postponed.retry_at,
        )
    if status.progress is not None and not status.state.final:
        answer.step = status.progress.step
        answer.steps = status.progress.steps
        answer.image_index = status.progress.image
        answer.image_count = status.progress.images
        answer.ETA = status.progress.eta_seconds
    if status.failure is not None:
        answer.failure = JobFailure(code=status.failure.code, message=status.failure.message)
    if status.result is not None:
        _fill_result(answer, status, status.result)
    if pictures:
        answer.Image = [base64.b64encode(picture).decode() for picture in pictures]
    return answer


def _fill_result(answer: Status, status: JobStatus, result: Result) -> None:
    by_name = pictures_by_name(status)
    answer.sizes = [[picture.width, picture.height] for picture in by_name.values()]
    answer.Size = answer.sizes[0]
    answer.Format = result.format
    answer.image_urls = [f"/images/{status.job_id}/{name}" for name in by_name]
    answer.seeds = list(result.seeds)
    of_model = {
        "model": result.model,
        "model_hash": result.model_hash,
        "vae": result.vae,
        "sampler": result.sampler,
        "steps": result.steps,
        "executed_steps": result.executed_steps,
        "prompt": result.prompt,
    }
    answer.metadata = Metadata(
        **(of_model if result.model else {}),
        upscaler=result.upscaler,
        timings=result.timings,
        request=status.request,
        inputs=list(status.inputs),
    )


def _sentence(status: JobStatus) -> str:
    match status.state:
        case JobState.PENDING if status.queue_position is not None:
            return f"waiting, place {status.queue_position} in the queue"
        case JobState.PENDING if status.postponed is not None:
            postponed = status.postponed
            return (
                f"postponed, time {postponed.times} of {postponed.most}: "
                f"{postponed.failure.message}"
            )
        case JobState.PENDING:
            return "waiting for a worker"
        case JobState.LOADING if status.loading is not None:
            return f"loading {_model(status)}, {status.loading:.0%}"
        case JobState.LOADING:
            return f"loading {_model(status)}" if status.model else "starting"
        case JobState.PROGRESS if status.progress is not None:
            progress = status.progress
            of_images = f", image {progress.image} of {progress.images}"
            drawing = f"drawing, step {progress.step} of {progress.steps}"
            return ("upscaling" if progress.upscaling else drawing) + (
                of_images if progress.images > 1 else ""
            )
        case JobState.PROGRESS:
            return "drawing"
        case JobState.SUCCESS:
            return "finished"
        case JobState.FAILURE:
            return status.failure.message if status.failure else "failed"
        case JobState.CANCELLED:
            return "cancelled"


def _model(status: JobStatus) -> str:
    """Which one is loaded is not known of a job that compares several."""
    compared = (status.request.get("vary") or {}).get("ckpt")
    return "a model that is compared" if compared else f"the model {status.model}"
