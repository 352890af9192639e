"""Where jobs are drawn: the models, the engine, the store, and who is told of what goes on."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import structlog
from PIL import Image

from jobs.claims import Claim, Claims, ClaimStatus
from jobs.errors import JobsError
from jobs.file_cleanup import FileCleanup
from jobs.request import prompts_of, read_stored
from jobs.status import Result
from jobs.store import TRANSIENT, PictureStore, Staging
from stable_diffusion.stopwatch import Stopwatch
from worker.execution.active_job import ActiveJob
from worker.execution.artist import Artist
from worker.execution.engine import Engine, EngineRoom
from worker.execution.enlarger import Enlarger
from worker.execution.init_image import open_init_image
from worker.execution.parts import Part, frugal, requests_of
from worker.execution.pen import Pen
from worker.execution.previewer import Previewer
from worker.execution.reporter import Reporter
from worker.execution.request_warnings import warnings_of
from worker.models.model_cache import ModelCache

if TYPE_CHECKING:
    from stable_diffusion.model import Model

log = structlog.get_logger(__name__)

MEMORY_RAN_OUT = "memory ran out, so it was drawn in the way that needs least memory"


@dataclass(frozen=True)
class Studio:
    """Draws claimed jobs and publishes their pictures, one in each thread that calls it.

    Args:
        claims, pen: the records, and what writes them.
        store, file_cleanup: the pictures, and what is not to stay of them.
        model_cache, room: the models, and the engine that draws with them.
        reporter: is told how far each job is.
        previewer: shows what they look like; None: nobody does.
    """

    claims: Claims
    pen: Pen
    store: PictureStore
    file_cleanup: FileCleanup
    model_cache: ModelCache
    room: EngineRoom
    reporter: Reporter
    previewer: Previewer | None

    def draw(self, running: ActiveJob, *, within_little: bool = False) -> ClaimStatus:
        """Draw, store, and end the job with SUCCESS. Raises JobStopped, or what went wrong.

        Args:
            within_little: in the way that needs least memory, which its record is told.
        """
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
            self._warn(running, told, MEMORY_RAN_OUT)
        # skip_save is about the single pictures: a grid goes where it was asked for
        outdir = TRANSIENT if request.skip_save else request.outdir
        with self.store.staging(claim.job_id, outdir, claim.token) as staging:
            artist = Artist(
                request,
                parts,
                partial(self._lend, running, engine, watch, told),
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

    def relieve(self) -> bool:
        """Give back all the memory that can be. Whether a little can be had afterwards."""
        self.model_cache.clear()
        return self.room.relieve()

    @contextmanager
    def _lend(
        self, running: ActiveJob, engine: Engine, watch: Stopwatch, told: list[str], part: Part
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
                borrowed = self.model_cache.borrow(
                    running.claim.model,
                    request.prompt,
                    loading,
                    offloaded=engine.offloaded(part.recipe),
                )
                model, limits = engine.prepared(loans.enter_context(borrowed), request)
            running.check()
            self._warn(running, told, *warnings_of(request, device=engine.device), *limits)
            yield model

    def _warn(self, running: ActiveJob, told: list[str], *warnings: str) -> None:
        """Add warnings to the job, those that it has not yet."""
        new = [warning for warning in warnings if warning not in told]
        if new:
            told += new
            running.apply(self.pen.write(lambda: self.claims.warn(running.claim, tuple(told))))

    def _init_image(self, claim: Claim) -> Image.Image | None:
        if claim.kind != "img2img":
            return None
        return open_init_image(self.store.read_input(claim.job_id, "init"))

    def _publish(self, claim: Claim, staging: Staging, result: Result) -> ClaimStatus:
        names = staging.names
        saved = any(not name.startswith(f"{TRANSIENT}/") for name in names)
        hold = self.pen.write(
            lambda: self.claims.publishing(claim, names, size=staging.size, saved=saved)
        )
        if hold is not ClaimStatus.HELD:
            return hold
        staging.publish()
        hold = self.pen.write(lambda: self.claims.finish(claim, result))
        if hold is ClaimStatus.HELD:
            log.info("job done", pictures=len(result.images), **result.timings)
        elif hold is ClaimStatus.LOST:
            with suppress(JobsError):
                self.file_cleanup.delete_unpublished(claim.job_id, names)
        return hold
