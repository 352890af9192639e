"""Everything one worker process holds, put together, started and stopped."""

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Collection

import structlog
from celery import Celery

from jobs.connection import connect
from jobs.deliveries import Deliveries
from jobs.errors import RecordsUnavailable
from jobs.expiry import Expiry
from jobs.file_cleanup import FileCleanup
from jobs.names import JOB_TYPES, JobType, queue_of
from jobs.queue import submit
from jobs.store import PictureStore
from jobs.workers import WorkerFacts, Workers
from worker.background.heartbeat import Heartbeat
from worker.background.lease import LeaseKeeper
from worker.background.memory_usage import gpu_bytes, resident_bytes
from worker.background.metrics import WorkerMetrics
from worker.background.periodic_thread import PeriodicThread
from worker.background.reaper import Reaper
from worker.background.sweeper import Sweeper
from worker.background.webhook_sender import WebhookSender
from worker.errors import StopReason
from worker.execution.engine import Engine, EngineRoom
from worker.execution.measured import MeasuredClaims
from worker.execution.pen import Pen
from worker.execution.previewer import Previewer
from worker.execution.reporter import Reporter
from worker.execution.runner import Runner
from worker.execution.studio import Studio
from worker.graceful_shutdown import GracefulShutdown
from worker.models.inventory import Inventory
from worker.models.model_cache import ModelCache
from worker.settings import WorkerSettings

log = structlog.get_logger(__name__)

_DELIVERING = 30.0
"""Seconds that a message is its courier's beyond the time of an attempt."""


class WorkerProcess:
    """One worker: its threads, its models, and the jobs it runs.

    Building it connects to nothing and imports no torch.
    """

    def __init__(
        self, settings: WorkerSettings, celery: Celery, make_engine: Callable[[], Engine]
    ) -> None:
        self.worker_id = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._settings = settings
        self._celery = celery
        self._room = EngineRoom(make_engine, settings.models_memory)
        redis = self._redis = connect(settings.celery_result_backend)
        self._workers = Workers(redis)
        self._metrics = WorkerMetrics()
        self._claims = MeasuredClaims(
            redis,
            self._metrics,
            lease_seconds=settings.lease_seconds,
            max_attempts=settings.max_attempts,
            result_ttl_seconds=settings.result_ttl_seconds,
            remembered_seconds=settings.tombstone_ttl,
        )
        store = PictureStore(settings.outputs)
        self._file_cleanup = FileCleanup(redis, store)
        self._catalogue = settings.catalogue
        self._model_cache = ModelCache(self._catalogue, self._room)
        self._inventory = Inventory(self._catalogue, self._room.made)
        self._keeper = LeaseKeeper(self._claims, renew_seconds=settings.renew_seconds)
        self._shutdown = GracefulShutdown(
            self.worker_id,
            self._keeper,
            self._claims,
            grace_seconds=settings.shutdown_grace_seconds,
            most_seconds=settings.shutdown_seconds,
        )
        self._reporter = Reporter(self._claims, self._metrics.step)
        previewer = Previewer(self._claims) if settings.previews else None
        pen = Pen()
        self._runner = Runner(
            owner=self.worker_id,
            claims=self._claims,
            pen=pen,
            file_cleanup=self._file_cleanup,
            studio=Studio(
                claims=self._claims,
                pen=pen,
                store=store,
                file_cleanup=self._file_cleanup,
                model_cache=self._model_cache,
                room=self._room,
                reporter=self._reporter,
                previewer=previewer,
            ),
            keeper=self._keeper,
            unwell=self._shutdown.begin_unasked,
        )
        self._tickers: list[PeriodicThread] = [self._keeper, self._reporter, self._inventory]
        if previewer:
            self._tickers.append(previewer)
        self._stop_metrics: Callable[[], None] = lambda: None

    def start(self, queues: Collection[str], slots: int) -> None:
        """Begin to look after jobs.

        Args:
            queues: the queues Celery listens to.
            slots: how many jobs Celery runs at once.
        """
        settings = self._settings
        types: tuple[JobType, ...] = tuple(
            job_type for job_type in JOB_TYPES if queue_of(job_type) in queues
        )
        self._tickers.append(
            Reaper(
                self._claims,
                self._file_cleanup,
                wake=lambda job_id, job_type: submit(self._celery, job_id, job_type),
                free_slots=lambda: slots - len(self._keeper.running()),
                types=types,
                reap_seconds=settings.reap_seconds,
                wake_seconds=settings.resend_after,
                grace_seconds=settings.lease_seconds / 2,
            )
        )
        self._tickers.append(
            Heartbeat(
                self._workers,
                lambda: self._facts(types, slots),
                seconds=settings.heartbeat_interval,
            )
        )
        self._tickers.append(
            Sweeper(
                self._redis,
                Expiry(self._redis, settings.keeping),
                self._file_cleanup,
                seconds=settings.sweep_seconds,
                stray_seconds=settings.orphan_grace,
            )
        )
        if settings.webhook_secret:
            self._tickers.append(
                WebhookSender(
                    Deliveries(
                        self._redis, lease_seconds=settings.webhook_timeout_seconds + _DELIVERING
                    ),
                    settings.webhook_rules,
                    settings.webhook_secret,
                    retry_seconds=settings.webhook_retry_seconds,
                    timeout_seconds=settings.webhook_timeout_seconds,
                )
            )
        for ticker in self._tickers:
            ticker.start()
        self._tell_metrics(slots)
        if settings.preload:
            threading.Thread(target=self._preload, name="preload", daemon=True).start()
        log.info("worker ready", worker=self.worker_id, types=",".join(types), slots=slots)

    def run(self, job_type: JobType) -> bool:
        """Run the next job of a type. False: this worker is leaving, another shall be woken."""
        if self._shutdown.begun:
            return False
        return self._runner.run_next(job_type) is not StopReason.HAND_BACK

    def leave(self) -> None:
        """Claim nothing more; hand running jobs back after the grace. Returns at once."""
        self._shutdown.begin()

    def close(self) -> None:
        """Stop the threads and withdraw the announcement. No job runs any more."""
        for ticker in self._tickers:
            ticker.stop()
        self._stop_metrics()
        try:
            self._workers.withdraw(self.worker_id)
        except RecordsUnavailable as error:
            log.warning("the worker could not sign off", reason=str(error))
        self._shutdown.done()
        log.info("worker gone", worker=self.worker_id)

    def _facts(self, types: tuple[JobType, ...], slots: int) -> WorkerFacts:
        running = self._keeper.running()
        loaded = self._model_cache.loaded()
        return WorkerFacts(
            worker_id=self.worker_id,
            types=types,
            models=tuple(sorted(self._catalogue.installed())),
            default_model=self._catalogue.default,
            device=self._room.device(self._settings.device),
            slots=slots,
            busy=len(running),
            jobs=tuple(job.claim.job_id for job in running),
            memory_bytes=resident_bytes(),
            gpu_memory_bytes=gpu_bytes(self._room.device(self._settings.device)),
            loaded=loaded,
            model_facts=self._inventory.facts(loaded),
            loras=tuple(sorted(self._catalogue.loras())),
            embeddings=tuple(sorted(self._catalogue.embeddings())),
        )

    def _tell_metrics(self, slots: int) -> None:
        """Say what is measured, and answer for it where the settings say so."""
        watch = self._metrics.watch
        device = self._settings.device
        watch("sd_worker_slots", "jobs it can run at once", lambda: slots)
        watch("sd_worker_busy", "jobs it runs now", lambda: len(self._keeper.running()))
        watch("sd_worker_models", "models in memory", lambda: len(self._model_cache.loaded()))
        watch("sd_worker_model_bytes", "weights in memory", self._model_cache.nbytes)
        watch(
            "sd_worker_gpu_memory_bytes",
            "memory taken of the GPU; 0 without one",
            lambda: gpu_bytes(self._room.device(device)) or 0,
        )
        if self._settings.metrics_port:
            self._stop_metrics = self._metrics.serve(
                self._settings.metrics_host, self._settings.metrics_port
            )

    def _preload(self) -> None:
        """Have the default model at hand before the first job asks for it."""
        name = self._catalogue.default
        began = time.monotonic()
        try:
            with self._model_cache.borrow(name):
                log.info("model loaded", model=name, seconds=round(time.monotonic() - began, 2))
        except Exception as error:  # noqa: BLE001 - the worker lives on, whatever a model holds
            log.error("the default model could not be loaded", model=name, reason=str(error))
