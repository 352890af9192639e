"""One job, from claim to saved pictures."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import structlog
from PIL import Image

from jobs.claims import Claim, Claims, Hold
from jobs.errors import JobsError, RecordsUnavailable
from jobs.names import JobType
from jobs.remains import Remains
from jobs.request import prompts_of, read_stored
from jobs.status import Result
from jobs.store import TRANSIENT, PictureStore, Staging
from stable_diffusion.stopwatch import Stopwatch
from worker.artist import Artist
from worker.engine import Engine, EngineRoom
from worker.enlarger import Enlarger
from worker.errors import JobStopped, StopReason, failure_of, is_out_of_memory
from worker.init_image import open_init_image
from worker.lease import LeaseKeeper
from worker.notes import warnings_of
from worker.parts import Part, frugal, requests_of
from worker.previewer import Previewer
from worker.reporter import Reporter
from worker.running import Running
from worker.shelf import Shelf

if TYPE_CHECKING:
    from stable_diffusion.model import Model

log = structlog.get_logger(__name__)

_RETRY_SECONDS = 1.0
MEMORY_RAN_OUT = "memory ran out, so it was drawn in the way that needs least memory"


@dataclass(frozen=True)
class Runner:
    """Runs jobs, one in each thread that calls it.

    Args:
        owner: this worker's id.
        claims, store, remains: the records, the pictures, and what is not to stay of them.
        shelf, room: the models, and the engine that draws with them.
        keeper, reporter: the threads that look after running jobs.
        previewer: the one that shows what they look like; None: nobody does.
        unwell: is called when this process can no longer get memory, even for little.
        patience_seconds: how long an ending is tried to be written while Redis is away.
    """

    owner: str
    claims: Claims
    store: PictureStore
    remains: Remains
    shelf: Shelf
    room: EngineRoom
    keeper: LeaseKeeper
    reporter: Reporter
    previewer: Previewer | None
    unwell: Callable[[], object]
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
        starved = False
        try:
            hold = self._draw_within_memory(running)
        except JobStopped as stopped:
            return self._stopped(claim, stopped.reason)
        except Exception as error:  # noqa: BLE001 - the worker outlives every job
            starved = is_out_of_memory(error)
            hold = self._failed(claim, error)
        if starved and not self._relieve():
            # only now that the job has ended: handed back, it would starve one worker after another
            log.error("no memory can be had any more")
            self.unwell()
        if hold is Hold.CANCEL:
            return self._stopped(claim, StopReason.CANCELLED)
        if hold is Hold.LOST:
            return self._stopped(claim, StopReason.LOST)
        self._tidy(claim)
        return None

    def _draw_within_memory(self, running: Running) -> Hold:
        """Draw; when memory runs out, once more in the way that needs least of it.

        It is the same attempt: the record counts workers, and this one lives.
        """
        try:
            return self._draw(running)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        # the error is gone here, and with it the frames that held what there was no room for
        if not self._relieve():
            raise MemoryError
        log.warning("memory ran out; drawing again with little")
        return self._draw(running, within_little=True)

    def _relieve(self) -> bool:
        """Give back all the memory that can be. Whether a little can be had afterwards."""
        self.shelf.clear()
        return self.room.relieve()

    def _draw(self, running: Running, *, within_little: bool = False) -> Hold:
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
            Part(one, engine.recipe(frugal(one) if within_little else one, init))
            for one in requests_of(request, prompts_of(stored))
        )
        told = list(claim.warnings)
        if within_little:
            told.append(MEMORY_RAN_OUT)
            running.heed(self._write(lambda: self.claims.warn(claim, tuple(told))))
        lend = partial(self._lend, running, engine, watch, told)
        # skip_save is about the single pictures: a grid goes where it was asked for
        outdir = TRANSIENT if request.skip_save else request.outdir
        with self.store.staging(claim.job_id, outdir, claim.token) as staging:
            artist = Artist(
                request,
                parts,
                lend,
                engine,
                running,
                self.reporter,
                self.previewer,
                enlarger,
                watch,
            )
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
                borrowed = self.shelf.borrow(
                    running.claim.model,
                    request.prompt,
                    loading,
                    on_call=engine.on_call(part.recipe),
                )
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
        names = staging.names
        saved = any(not name.startswith(f"{TRANSIENT}/") for name in names)
        hold = self._write(
            lambda: self.claims.publishing(claim, names, size=staging.size, saved=saved)
        )
        if hold is not Hold.HELD:
            return hold
        staging.publish()
        hold = self._write(lambda: self.claims.finish(claim, result))
        if hold is Hold.HELD:
            log.info("job done", pictures=len(result.images), **result.timings)
        elif hold is Hold.LOST:
            with suppress(JobsError):
                self.remains.disown(claim.job_id, names)
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
            self._tidy(claim)
        elif reason is StopReason.HAND_BACK and self._hand_back(claim) is Hold.CANCEL:
            self._tidy(claim)
        return reason

    def _hand_back(self, claim: Claim) -> Hold:
        # a worker that shuts down has no time: without this step the lease runs out instead
        return self._write(lambda: self.claims.hand_back(claim), patience_seconds=0)

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

    def _tidy(self, claim: Claim) -> None:
        """Delete what the ended job left in the store; a sweeper does it if this one cannot."""
        try:
            done = self.remains.tidy(claim.job_id)
        except JobsError:
            done = False
        if not done:
            log.warning("what the job left behind is not deleted yet")
