"""The jobs that `progress`, `interrupt` and `skip` mean: those for which a client waits."""

from api.job_service import JobService
from jobs.errors import JobExpired, NoSuchJob
from jobs.status import JobStatus


def drawing_jobs(jobs: JobService, submitter: str) -> tuple[JobStatus, ...]:
    """The unended jobs of a key that were submitted by a call that waits, the running ones first.

    A1111 answers when the pictures are done, so "what I am drawing" are the jobs of such calls. A
    job that the same key has queued in another way, as the web page does, is not touched.
    """
    return tuple(
        status
        for status in jobs.unfinished(of=submitter, most=0)
        if status.request.get("synchronous_request")
    )


def job_of_task(jobs: JobService, task: str, submitter: str) -> JobStatus | None:
    """The job that the key has submitted with this `force_task_id`; None: none, or it expired."""
    job_id = jobs.find(task, submitter=submitter)
    if job_id is None:
        return None
    try:
        return jobs.status(job_id)
    except (NoSuchJob, JobExpired):
        return None
