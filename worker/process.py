"""The parts of one worker process: built, started and stopped."""

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress

import structlog
from celery import Celery

from jobs.connection import connect
from jobs.errors import RecordsUnavailable
from jobs.names import JOB_TYPES, JobType, queue_of
from jobs.pictures.store import PictureStore
from jobs.queue import wake_worker
from jobs.records.claim import Claim
from jobs.records.claims import Claims
from jobs.records.file_cleanup import FileCleanup
from jobs.workers import Workers
from worker.background.lease import LeaseKeeper
from worker.background.metrics import WorkerMetrics
from worker.background.periodic_thread import PeriodicThread
from worker.background.store_probe import StoreProbe
from worker.background.watchdog import Watchdog
from worker.background.worker_status import WorkerStatus
from worker.background_threads import background_threads
from worker.execution.engine import Engine, EngineProvider
from worker.execution.execute_job import claim_job, execute_claim
from worker.execution.execution_context import ExecutionContext
from worker.execution.previewer import Previewer
from worker.execution.progress_clock import ProgressClock
from worker.execution.reporter import Reporter
from worker.graceful_shutdown import GracefulShutdown
from worker.models.inventory import Inventory
from worker.models.model_cache import ModelCache
from worker.settings import WorkerSettings
from worker.slots import Slots

log = structlog.get_logger(__name__)

_CELERY_START_SECONDS = 5.0
"""How long Celery has to connect before the worker starts without it."""


class WorkerProcess:
    """One worker: its threads, its models, and the jobs it executes.

    Building it connects to nothing and imports no torch.
    """

    def __init__(
        self, settings: WorkerSettings, celery: Celery, build_engine: Callable[[], Engine]
    ) -> None:
        self.worker_id = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._settings = settings
        self._celery = celery
        self._redis = connect(settings.celery_result_backend)
        self._workers = Workers(self._redis)
        claims = Claims(
            self._redis,
            lease_seconds=settings.lease_seconds,
            max_attempts=settings.max_attempts,
            result_ttl_seconds=settings.result_ttl_seconds,
            tombstone_ttl=settings.tombstone_ttl,
            max_hand_backs=settings.max_hand_backs,
            pauses=settings.postpone_seconds,
            pauses_window=settings.postpone_window,
        )
        store = PictureStore(settings.outputs, room=settings.store_room)
        self._store_probe = StoreProbe(store, seconds=settings.store_probe_seconds)
        engine = EngineProvider(build_engine, settings.models_memory, settings.workers)
        leases = LeaseKeeper(claims, renew_seconds=settings.renew_seconds)
        metrics = WorkerMetrics()
        self._catalogue = settings.catalogue
        self._inventory = Inventory(self._catalogue, engine.get_if_built)
        self._shutdown = GracefulShutdown(
            self.worker_id,
            leases,
            claims,
            grace_seconds=settings.shutdown_grace_seconds,
            exit_seconds=settings.shutdown_seconds,
        )
        self._context = ExecutionContext(
            worker_id=self.worker_id,
            claims=claims,
            store=store,
            file_cleanup=FileCleanup(self._redis, store),
            model_cache=ModelCache(self._catalogue, engine),
            engine=engine,
            leases=leases,
            reporter=Reporter(claims, metrics.step),
            previewer=Previewer(claims) if settings.previews else None,
            on_device_failure=self._shutdown.begin_for_restart,
            on_store_failure=self._store_probe.suspect,
            metrics=metrics,
        )
        self._slots = Slots(
            claim=self._claim,
            execute=lambda claim: execute_claim(self._context, claim),
            leaving=lambda: self._shutdown.begun,
        )
        self._preloading: ProgressClock | None = None
        self._watchdog = Watchdog(
            leases,
            others={
                "the loading of the default model": lambda: self._preloading,
                "the probe of the picture store": lambda: self._store_probe.probing,
            },
            on_hang=self._shutdown.begin_for_restart,
            progress_seconds=settings.progress_seconds,
            deadline_seconds=settings.deadline_seconds,
        )
        self._starting = threading.Lock()
        self._started = False
        self._threads: list[PeriodicThread] = []
        self._stop_metrics: Callable[[], None] = lambda: None

    def prepare(self, queues: Collection[str], slots: int) -> None:
        """Start what a signal needs, before Celery connects; and the rest if Celery cannot.

        A Redis whose memory is full refuses Celery's consumer, but not the records.

        Args:
            queues, slots: as for `start`.
        """
        self._shutdown.start()

        def start_without_celery() -> None:
            while not (self._started or self._shutdown.begun):
                time.sleep(_CELERY_START_SECONDS)
                with suppress(RecordsUnavailable):
                    self._workers.alive()
                    self.start(queues, slots)

        threading.Thread(target=start_without_celery, name="start", daemon=True).start()

    def start(self, queues: Collection[str], slots: int) -> None:
        """Start the threads, and announce the worker. A second call does nothing.

        Args:
            queues: the queues that Celery consumes.
            slots: how many jobs Celery runs at once.
        """
        with self._starting:
            if not self._started:
                self._started = True
                self._start(queues, slots)

    def _start(self, queues: Collection[str], slots: int) -> None:
        settings, context = self._settings, self._context
        types: tuple[JobType, ...] = tuple(
            job_type for job_type in JOB_TYPES if queue_of(job_type) in queues
        )
        status = WorkerStatus(
            worker_id=self.worker_id,
            types=types,
            slots=slots,
            device=settings.device,
            catalogue=self._catalogue,
            inventory=self._inventory,
            model_cache=context.model_cache,
            engine=context.engine,
            leases=context.leases,
            store_probe=self._store_probe,
            watchdog=self._watchdog,
        )
        self._threads = [context.leases, context.reporter, self._inventory]
        self._threads += [self._store_probe, self._watchdog]
        if context.previewer:
            self._threads.append(context.previewer)
        self._threads += background_threads(
            settings,
            self._redis,
            context,
            status,
            send=lambda job_id, job_type: wake_worker(self._celery, job_id, job_type),
            draw=self._slots.draw,
        )
        for thread in self._threads:
            thread.start()
        status.add_gauges(context.metrics)
        if settings.metrics_port:
            self._stop_metrics = context.metrics.serve(settings.metrics_host, settings.metrics_port)
        if settings.preload:
            threading.Thread(target=self._preload, name="preload", daemon=True).start()
        self._slots.open(slots, types)
        log.info("worker ready", worker=self.worker_id, types=",".join(types), slots=slots)

    def execute(self, job_id: str, job_type: JobType) -> None:
        """Execute the next job of a type, as a message asks for.

        While no pictures can be stored the message waits here, and so does its job in the queue. A
        worker that shuts down passes the message on, after it has handed back its job.
        """
        self._store_probe.wait(lambda: self._shutdown.begun)
        self._slots.execute_next(job_type)
        if self._shutdown.begun:
            wake_worker(self._celery, job_id, job_type)

    def shut_down(self) -> None:
        """Claim no more jobs; hand running jobs back after the grace period. Takes no lock."""
        self._shutdown.begin()

    def close(self) -> None:
        """Stop the threads and withdraw the announcement, once the jobs drawn here have ended.

        No message's job may run any more.
        """
        self._slots.wait()
        for thread in self._threads:
            thread.stop()
        self._stop_metrics()
        try:
            self._workers.withdraw(self.worker_id)
        except RecordsUnavailable as error:
            log.warning("the worker's announcement could not be withdrawn", reason=str(error))
        self._shutdown.stop()
        log.info("worker stopped", worker=self.worker_id)

    def _claim(self, job_type: JobType) -> Claim | None:
        """The next job of a type; None while no pictures can be stored."""
        return claim_job(self._context, job_type) if self._store_probe.usable() else None

    def _preload(self) -> None:
        """Load the default model before the first job needs it."""
        name = self._catalogue.default
        started = time.monotonic()
        self._preloading = clock = ProgressClock()
        try:
            with self._context.model_cache.borrow(name, on_progress=lambda _: clock.note_loading()):
                seconds = round(time.monotonic() - started, 2)
                log.info("model loaded", model=name, seconds=seconds)
        except Exception as error:  # noqa: BLE001 - the worker must survive every model
            log.error("the default model could not be loaded", model=name, reason=str(error))
        finally:
            self._preloading = None
