"""One job, from claim to saved pictures."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import structlog
from PIL import Image

from jobs.claims import Claim, Claims, Hold
from jobs.errors import RecordsUnavailable, StoreError
from jobs.names import JobType
from jobs.request import prompts_of, read_stored
from jobs.status import Result
from jobs.store import TRANSIENT, PictureStore, Staging
from stable_diffusion.stopwatch import Stopwatch
from worker.artist import Artist
from worker.engine import Engine, EngineRoom
from worker.enlarger import Enlarger
from worker.errors import JobStopped, StopReason, failure_of
from worker.init_image import open_init_image
from worker.lease import LeaseKeeper
from worker.notes import warnings_of
from worker.parts import Part, requests_of
from worker.reporter import Reporter
from worker.running import Running
from worker.shelf import Shelf

if TYPE_CHECKING:
    from stable_diffusion.model import Model

log = structlog.get_logger(__name__)

_RETRY_SECONDS = 1.0


@dataclass(frozen=True)
class Runner:
    """Runs jobs, one in each thread that calls it.

    Args:
        owner: this worker's id.
        claims, store: the records and the pictures.
        shelf, room: the models, and the engine that draws with them.
        keeper, reporter: the threads that look after running jobs.
        patience_seconds: how long an ending is tried to be written while Redis is away.
    """

    owner: str
    claims: Claims
    store: PictureStore
    shelf: Shelf
    room: EngineRoom
    keeper: LeaseKeeper
    reporter: Reporter
    patience_seconds: float = 120.0

    def run_next(self, job_type: JobType) -> StopReason | None:
        """Claim the next job of a type and run it to its end; nothing when none waits.

        Never raises, whatever the job does.

        Returns:
            Why the job was stopped, if it was.
        """
        try:
            claim = self.claims.claim(job_type, self.owner)
        except RecordsUnavailable as error:
            # the job stands where it stood, and is found again by a reaper
            log.warning("no job could be claimed", reason=str(error))
            return None
        if claim is None:
            log.debug("woken for nothing", type=job_type)
            return None
        with (
            structlog.contextvars.bound_contextvars(job=claim.job_id, attempt=claim.attempt),
            self.keeper.keep(claim) as running,
        ):
            try:
                return self._run(running)
            finally:
                self.reporter.forget(running)

    def _run(self, running: Running) -> StopReason | None:
        claim = running.claim
        log.info("job claimed", type=claim.type, model=claim.model)
        try:
            hold = self._draw(running)
        except JobStopped as stopped:
            return self._stopped(claim, stopped.reason)
        except Exception as error:  # noqa: BLE001 - the worker outlives every job
            hold = self._failed(claim, error)
        if hold is Hold.CANCEL:
            return self._stopped(claim, StopReason.CANCELLED)
        if hold is Hold.LOST:
            return self._stopped(claim, StopReason.LOST)
        self._forget_input(claim)
        return None

    def _draw(self, running: Running) -> Hold:
        """Draw, store, and end the job with SUCCESS. Raises JobStopped, or what went wrong."""
        claim = running.claim
        stored = json.loads(claim.stored_request)
        request = read_stored(claim.kind, stored)
        log.debug("prompt", prompt=request.prompt, negative_prompt=request.negative_prompt)
        watch = Stopwatch()
        with watch.timing("load"):
            engine = self.room.get()
        enlarger = Enlarger.of(request, engine, running, watch)
        init = self._init_image(claim)
        if init is not None:
            init = enlarger.before(init)
        parts = tuple(
            Part(one, engine.recipe(one, init)) for one in requests_of(request, prompts_of(stored))
        )
        lend = partial(self._lend, running, engine, watch, list(claim.warnings))
        # skip_save is about the single pictures: a grid goes where it was asked for
        outdir = TRANSIENT if request.skip_save else request.outdir
        with self.store.staging(claim.job_id, outdir, claim.token) as staging:
            artist = Artist(request, parts, lend, engine, running, self.reporter, enlarger, watch)
            result = artist.draw(staging)
            spent = {"queued": claim.started - claim.submitted} | result.timings
            timings = {phase: round(seconds, 3) for phase, seconds in spent.items()}
            running.check()
            return self._publish(claim, staging, result.model_copy(update={"timings": timings}))

    @contextmanager
    def _lend(
        self, running: Running, engine: Engine, watch: Stopwatch, told: list[str], part: Part
    ) -> "Iterator[Model]":
        """The model that a part of a job is drawn with; tells of its loading, and of its limits.

        Args:
            told: the warnings that the job has already; those that are added are put there.
        """

        def loading(share: float) -> None:
            running.check()
            self.reporter.tell_loading(running, share)

        request = part.request
        with ExitStack() as loans:
            with watch.timing("load"):
                borrowed = self.shelf.borrow(running.claim.model, request.prompt, loading)
                model, limits = engine.prepared(loans.enter_context(borrowed), request)
            running.check()
            added = (*warnings_of(request, device=engine.device), *limits)
            if new := [warning for warning in added if warning not in told]:
                told += new
                running.heed(self._write(lambda: self.claims.warn(running.claim, tuple(told))))
            yield model

    def _init_image(self, claim: Claim) -> Image.Image | None:
        if claim.kind != "img2img":
            return None
        return open_init_image(self.store.read_init_image(claim.job_id))

    def _publish(self, claim: Claim, staging: Staging, result: Result) -> Hold:
        names = staging.publish()
        hold = self._write(lambda: self.claims.finish(claim, result))
        if hold is Hold.HELD:
            log.info("job done", pictures=len(result.images), **result.timings)
        elif hold is Hold.CANCEL:
            for name in names:
                self.store.delete(name)
        # LOST: whoever has the job now writes the same pictures under the same names
        return hold

    def _failed(self, claim: Claim, error: Exception) -> Hold:
        failure = failure_of(error)
        log.warning(
            "job failed",
            code=failure.code,
            reason=failure.message,
            exc_info=error if failure.code == "internal_error" else None,
        )
        return self._write(lambda: self.claims.fail(claim, failure))

    def _stopped(self, claim: Claim, reason: StopReason) -> StopReason:
        log.info("job stopped", reason=reason.value)
        if reason is StopReason.CANCELLED:
            self._write(lambda: self.claims.cancelled(claim))
            self._forget_input(claim)
        elif reason is StopReason.HAND_BACK:
            # a worker that shuts down has no time: without this step the lease runs out instead
            hold = self._write(lambda: self.claims.hand_back(claim), patience_seconds=0)
            if hold is Hold.CANCEL:
                self._forget_input(claim)
        return reason

    def _write(self, step: Callable[[], Hold], *, patience_seconds: float | None = None) -> Hold:
        """Take a step on the record, again and again while Redis is away.

        The lease may run out meanwhile; a step that comes too late is answered LOST.
        """
        patience = self.patience_seconds if patience_seconds is None else patience_seconds
        until = time.monotonic() + patience
        while True:
            try:
                return step()
            except RecordsUnavailable as error:
                if time.monotonic() > until:
                    log.error("the record could not be written", reason=str(error))
                    return Hold.LOST
            time.sleep(_RETRY_SECONDS)

    def _forget_input(self, claim: Claim) -> None:
        if claim.kind != "img2img":
            return
        try:
            self.store.delete_init_image(claim.job_id)
        except StoreError as error:
            log.warning("the init image was not deleted", reason=str(error))
