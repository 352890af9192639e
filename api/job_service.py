"""What every dialect of the API calls: submit a job, wait for it, follow it, cancel it.

Nothing here knows HTTP or the JSON of a dialect. A dialect translates its request into the fields
of `jobs.parameters.schemas`, calls `JobService`, and translates the returned values and raised
errors.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import structlog

from api.backends import Backends
from api.client_shares import ClientShares
from api.errors import NoSuchImage, TooManyStreams
from api.job_events import JobEvents
from api.job_factory import JobFactory
from api.job_pictures import default_picture, pictures_by_name
from api.job_wait import JobWait, WaitResult
from api.rate_limit import SubmitRateLimit
from api.settings import NO_LIMIT, ApiSettings
from api.status_poller import StatusPoller
from jobs.client_options import ClientOptions
from jobs.errors import JobsError
from jobs.limits import Limits
from jobs.names import JobKind, model_named
from jobs.queue import wake_worker
from jobs.records.idempotency import IdempotentRequest, SubmittedJob
from jobs.records.new_job import NewJob
from jobs.records.overview import MAX_WAITING
from jobs.served import Served
from jobs.status import JobState, JobStatus, Preview
from jobs.worker_facts import WorkerFacts

log = structlog.get_logger(__name__)


class JobService:
    """Submits, follows and ends jobs. Safe to share between threads.

    Every method raises RecordsUnavailable when Redis does not answer. Methods that take a job's id
    raise NoSuchJob for an unknown id, JobExpired for one whose record is deleted; UnreadableRecord
    if they read a record that a later version wrote, or that is damaged.

    Args:
        backends: the connections.
        settings: limits, timeouts and the default model.
    """

    def __init__(self, backends: Backends, settings: ApiSettings) -> None:
        self._records = backends.records
        self._overview = backends.overview
        self._workers = backends.workers
        self._client_options = ClientOptions(backends.redis)
        self._store = backends.store
        self._celery = backends.celery
        self._file_cleanup = backends.file_cleanup
        self._factory = JobFactory.from_settings(settings, backends)
        self._poller = StatusPoller(backends.records)
        self._rate_limit = None
        if settings.rate_limit != NO_LIMIT:
            self._rate_limit = SubmitRateLimit(backends.redis, settings.rate_limit)
        self._shares = ClientShares(settings)
        self._job_wait = JobWait(backends.records, self._shares.waits, settings.sync_timeout)
        self.limits: Limits = settings.limits
        self.default_model = model_named(settings.default_model)

    def submit(
        self,
        kind: JobKind,
        body: dict[str, Any],
        *,
        submitter: str,
        idempotency_key: str | None = None,
        user: str = "",
        warnings: Iterable[str] = (),
        usual: Mapping[str, Any] | None = None,
    ) -> SubmittedJob:
        """Validate a request, write its job's record and wake a worker.

        The job exists from the moment its record is written. If this process dies before that,
        nothing was accepted; if it dies after, a worker runs the job, and the idempotency key
        finds it.

        Args:
            kind: of the job.
            body: the request by the field names of `jobs.parameters.schemas`, without the API key.
            submitter: a digest of the API key.
            idempotency_key: the same key with the same body returns the first job again; None:
                every request is a new job.
            user: the name of one of the submitter's users, of any form; its users take turns, and
                only a digest of the name is kept. Empty: no user is known.
            warnings: what the caller's dialect could not follow, a sentence each. They come before
                those of the job itself, and a repeated request returns those of the first.
            usual: values of `jobs.validation.settled_defaults.FILLED` for what the body
                leaves out and the model has no opinion on: the defaults of the caller's dialect.

        Returns:
            The new job, or the one that the same request has created before.

        Raises:
            TooManyRequests: the submitter is over its rate limit.
            InvalidRequest: with every fault of the body.
            IdempotencyKeyReused: the idempotency key belongs to another body.
            NoWorkerForType: no worker serves the job's type.
            TooManyWaiting, QueueFull, TooManyBytes: too many jobs are waiting, or too large ones.
            StoreError: the input images could not be stored; nothing was accepted.
        """
        if self._rate_limit is not None:
            self._rate_limit.count(submitter)
        idempotent = None
        if idempotency_key:
            idempotent = IdempotentRequest.of(idempotency_key, kind, body, submitter=submitter)
            if known := self._records.submitted_before(idempotent):
                # The API that wrote the record may have died before it sent the message.
                wake_worker(self._celery, known.job_id, known.type)
                return known
        job = self._factory.new_job(
            kind,
            body,
            submitter,
            idempotent,
            user=user,
            warnings=tuple(warnings),
            usual=usual,
        )
        accepted = self._open(job)
        wake_worker(self._celery, accepted.job_id, accepted.type)
        if accepted.job_id == job.job_id:  # logged last, so that no worker waits for it
            log.info(
                "job accepted",
                job=job.job_id,
                kind=kind,
                type=job.request.type,
                model=job.model,
                images=job.image_count,
            )
        return accepted

    def submit_and_wait(
        self,
        kind: JobKind,
        body: dict[str, Any],
        *,
        submitter: str,
        idempotency_key: str | None = None,
        user: str = "",
        warnings: Iterable[str] = (),
        usual: Mapping[str, Any] | None = None,
        address: str = "",
        abandoned: Callable[[], bool] = lambda: False,
        keep: bool = False,
    ) -> WaitResult:
        """Submit a job and wait for its end, at the cost of the calling thread.

        The wait goes on while Redis does not answer: the job goes on as well.

        Args:
            kind, body, submitter, idempotency_key, user, warnings, usual: as of `submit`.
            address: of the caller; it and its key have a share of the places for waiting.
            abandoned: checked while waiting; once it returns True the wait ends.
            keep: the job runs on when the wait ends before it, for whatever reason; otherwise it
                is cancelled, as a job that nobody will ask for.

        Raises:
            What `submit` raises; JobExpired if the job was deleted meanwhile.
        """
        job = self.submit(
            kind,
            body,
            submitter=submitter,
            idempotency_key=idempotency_key,
            user=user,
            warnings=warnings,
            usual=usual,
        )
        holders = self._shares.holders(submitter, address)
        result = self._job_wait.until_ended(job, holders, abandoned)
        if result.status is None and not keep:
            self.give_up(job.job_id, by=submitter)
        return result

    def give_up(self, job_id: str, *, by: str) -> None:
        """Cancel a job that nobody waits for any more; one that has ended stays as it is."""
        with suppress(JobsError):
            self.cancel(job_id, by=by)

    def find(self, idempotency_key: str, *, submitter: str) -> str | None:
        """The id of the job that a submitter has sent under an idempotency key; None: no such."""
        return self._records.find(idempotency_key, submitter=submitter)

    def status(self, job_id: str) -> JobStatus:
        """The job's status now, with its position in the queue."""
        return self._records.get(job_id)

    def preview(self, job_id: str) -> Preview | None:
        """The latest preview of a running job; None: it has none, or does not run."""
        found = self._records.snapshots({job_id: 0}).get(job_id)
        return found.preview if found else None

    def events(
        self,
        job_id: str,
        *,
        submitter: str = "",
        address: str = "",
        abandoned: Callable[[], bool] = lambda: False,
    ) -> JobEvents:
        """The job's snapshots and previews as they change. The caller must close it.

        Args:
            job_id: the job; it, its submitter and the caller's address have a share of the places.
            submitter: of the job, as its status has it.
            address: of the caller.
            abandoned: checked before each snapshot; once it returns True the iteration ends.

        Raises:
            TooManyStreams: as many are open as the settings allow, or as one client may have.
        """
        places = self._shares.streams
        holders = (f"job:{job_id}", *self._shares.holders(submitter, address))
        if refusal := places.take(*holders):
            raise TooManyStreams(places.count, places.share, refusal)
        on_close = partial(places.free, *holders)
        return JobEvents(self._poller, job_id, on_close=on_close, abandoned=abandoned)

    def cancel(self, job_id: str, *, by: str) -> JobState:
        """Cancel a job and delete its files. Arguments, result and errors as JobRecords.cancel."""
        state = self._records.cancel(job_id, by=by)
        log.info("job cancelled", job=job_id, was=state)
        self._delete_files(job_id)
        return state

    def delete(self, job_id: str, *, by: str) -> JobState:
        """Cancel a job, or delete an ended one. As JobRecords.delete; deletes the files too."""
        state = self._records.delete(job_id, by=by)
        log.info("job deleted", job=job_id, was=state)
        self._delete_files(job_id)
        return state

    def recent(self, count: int) -> tuple[str, ...]:
        """The ids of the latest successful jobs of all keys, newest first."""
        return self._records.recent(count)

    def unfinished(self, *, of: str, most: int = MAX_WAITING) -> tuple[JobStatus, ...]:
        """The waiting and running jobs of a submitter, in the order in which they will end.

        As Overview.under_way.
        """
        return self._overview.under_way(of=of, most=most)

    def finished(self, *, of: str, of_all: int) -> tuple[JobStatus, ...]:
        """The last `of_all` successful jobs of all keys and all those of a submitter."""
        return self._overview.finished(of=of, of_all=of_all)

    def picture(self, status: JobStatus, name: str | None = None) -> bytes:
        """One encoded picture of a finished job.

        Args:
            status: the job.
            name: as of `pictures_by_name`; None: the grid if there is one, else the first.

        Raises:
            NoSuchImage: the job has no such picture, or none yet.
            StoreError: it cannot be read; NoSuchPicture: it was deleted.
        """
        pictures = pictures_by_name(status)
        if not pictures:
            raise NoSuchImage(f"the job has no pictures: it is {status.state}")
        name = name or default_picture(status)
        if name not in pictures:
            raise NoSuchImage(f"the job has no picture {name!r}; it has: {', '.join(pictures)}")
        return self._store.read(pictures[name].name)

    def pictures(self, status: JobStatus) -> list[bytes]:
        """All encoded pictures of a finished job in order, the grid last. Raises StoreError."""
        return [self._store.read(picture.name) for picture in pictures_by_name(status).values()]

    def served(self) -> Served:
        """Types, models, LoRAs and embeddings of the live workers, else of the last ones."""
        return self._workers.served()

    def wildcards(self) -> tuple[str, ...]:
        """The names that prompts with wildcards may use, in order."""
        return self._factory.wildcards.names()

    def workers(self) -> tuple[WorkerFacts, ...]:
        """The live workers, as they last announced themselves."""
        return self._workers.alive()

    def options(self, *, of: str) -> dict[str, Any]:
        """The options of a submitter, by name. As ClientOptions.read."""
        return self._client_options.read(of)

    def set_options(self, changes: Mapping[str, Any], *, of: str) -> None:
        """Change options of a submitter; the others stay. As ClientOptions.change."""
        self._client_options.change(changes, of)

    def unload_models(self) -> None:
        """Ask every worker to drop the models that no job uses. Each does at its next heartbeat."""
        self._workers.unload_models()

    def close(self) -> None:
        """End all event streams, now and from now on. A signal handler may call it."""
        self._poller.stop()

    def _delete_files(self, job_id: str) -> None:
        """Delete an ended job's files. If that fails, a worker's sweeper deletes them later."""
        with suppress(JobsError):
            self._file_cleanup.clean(job_id)

    def _open(self, job: NewJob) -> SubmittedJob:
        """Store the inputs, then the record: a worker that sees the record finds the inputs."""
        for role, data in job.request.inputs.items():
            self._store.put_input(job.job_id, role, data)
        try:
            accepted = self._records.open(job)
        except JobsError:
            self._delete_inputs(job)
            raise
        if accepted.job_id != job.job_id:  # the same request was faster
            self._delete_inputs(job)
        return accepted

    def _delete_inputs(self, job: NewJob) -> None:
        if job.request.inputs:
            with suppress(JobsError):
                self._store.delete_inputs(job.job_id)
