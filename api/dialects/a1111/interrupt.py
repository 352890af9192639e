"""POST /sdapi/v1/interrupt and /skip: end what this key draws, and nobody else's pictures."""

from collections.abc import Iterable
from contextlib import suppress

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from api.caller import caller_of
from api.dialect import Services
from api.dialects.a1111.operation_parts import Warnings, described
from api.dialects.a1111.own_jobs import drawing_jobs
from jobs.errors import JobAlreadyFinal, JobExpired, NoSuchJob
from jobs.status import JobState, JobStatus

ENDED_ALREADY = (NoSuchJob, JobExpired, JobAlreadyFinal)


def interrupt_routes(services: Services) -> Blueprint:
    """The routes that end jobs early. They read no body."""
    routes = Blueprint("interrupt", __name__)
    jobs = services.jobs

    def cancel(found: Iterable[JobStatus], submitter: str) -> None:
        for status in found:
            with suppress(*ENDED_ALREADY):
                jobs.cancel(status.job_id, by=submitter)

    @routes.post("/interrupt")
    @described(Warnings, description="the jobs end after their current step")
    def interrupt() -> ResponseReturnValue:
        """Cancel the running and the waiting jobs of this key for which a client waits.

        Other keys' jobs go on, and so do jobs that this key has queued without waiting for them.
        """
        submitter = caller_of(services, request).submitter
        cancel(drawing_jobs(jobs, submitter), submitter)
        return Warnings().model_dump()

    @routes.post("/skip")
    @described(Warnings, description="the running job ends after its current step")
    def skip() -> ResponseReturnValue:
        """Cancel the oldest running job of this key; the waiting ones go on.

        A job ends as a whole: if more of its pictures were to follow, `warnings` says so.
        """
        submitter = caller_of(services, request).submitter
        running = [
            status
            for status in drawing_jobs(jobs, submitter)
            if status.state is not JobState.PENDING and not status.cancel_requested
        ]
        cancel(running[:1], submitter)
        return Warnings(warnings=[w for status in running[:1] for w in _lost(status)]).model_dump()

    return routes


def _lost(status: JobStatus) -> list[str]:
    images = status.progress.images if status.progress else 1
    if images == 1:
        return []
    return [f"skip: the job ended with all of its {images} pictures, not only the current one"]
