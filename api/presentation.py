"""How a job looks from outside: the JSON of its status.

The keys that begin with a capital are the reference's, and its clients read them; the others are
facts it did not tell.
"""

import base64
from typing import Any

from api.answers import PreviewOfJob
from api.desk import Desk
from api.picture_answers import image_links
from jobs.status import JobState, JobStatus, Preview, Progress, Result, StoredPicture


def location_of(job_id: str) -> str:
    """Where a job's status is found."""
    return f"/status/{job_id}"


def describe(desk: Desk, status: JobStatus, *, images: bool) -> dict[str, Any]:
    """The status as JSON; `images` puts the pictures of a finished job in, as base64."""
    described: dict[str, Any] = {
        "State": status.state,
        "Status": _sentence(status),
        "Progress": status.fraction,
        "Warnings": list(status.warnings),
        "task_id": status.job_id,
        "type": status.type,
        "active_model": status.model,
    }
    if status.loading is not None:
        described["Loading"] = status.loading
    if status.queue_position is not None:
        described["queue_place"] = status.queue_position
    if status.progress is not None and not status.state.final:
        described |= _progress(status.progress)
    if status.failure is not None:
        described["error"] = status.failure.message
        described["code"] = status.failure.code
    if status.result is not None:
        described |= _result(status, status.result)
        if images:
            described["Image"] = [
                base64.b64encode(desk.store.read(picture.name)).decode()
                for picture in _shown(status.result)
            ]
    return described


def preview_of(job_id: str, preview: Preview) -> PreviewOfJob:
    """A preview as its watchers are sent it."""
    return PreviewOfJob(
        task_id=job_id,
        step=preview.step,
        steps=preview.steps,
        image=preview.image,
        width=preview.width,
        height=preview.height,
        Preview=f"data:image/jpeg;base64,{preview.jpeg}",
    )


def _shown(result: Result) -> tuple[StoredPicture, ...]:
    return result.images + ((result.grid,) if result.grid else ())


def _progress(progress: Progress) -> dict[str, Any]:
    return {
        "step": progress.step,
        "steps": progress.steps,
        "image": progress.image,
        "images": progress.images,
        "ETA": progress.eta_seconds,
    }


def _result(status: JobStatus, result: Result) -> dict[str, Any]:
    first = _shown(result)[0]
    return {
        "Size": [first.width, first.height],
        "Format": result.format,
        "Images": [f"/images/{status.job_id}/{number}" for number in image_links(status)],
        "seeds": list(result.seeds),
        "metadata": {
            "model": result.model,
            "model_hash": result.model_hash,
            "sampler": result.sampler,
            "steps": result.steps,
            "executed_steps": result.executed_steps,
            "prompt": result.prompt,
            "timings": result.timings,
            "request": status.request,
        },
    }


def _sentence(status: JobStatus) -> str:
    match status.state:
        case JobState.PENDING if status.queue_position is not None:
            return f"waiting, place {status.queue_position} in the queue"
        case JobState.PENDING:
            return "waiting for a worker"
        case JobState.LOADING if status.loading is not None:
            return f"loading the model {status.model}, {status.loading:.0%}"
        case JobState.LOADING:
            return f"loading the model {status.model}"
        case JobState.PROGRESS if status.progress is not None:
            progress = status.progress
            of_images = f", image {progress.image} of {progress.images}"
            return f"drawing, step {progress.step} of {progress.steps}" + (
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
