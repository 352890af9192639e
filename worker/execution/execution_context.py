"""The parts of a worker process that executing a job needs."""

from collections.abc import Callable
from dataclasses import dataclass, field

from jobs.pictures.store import PictureStore
from jobs.records.claims import Claims
from jobs.records.file_cleanup import FileCleanup
from worker.background.lease import LeaseKeeper
from worker.background.metrics import WorkerMetrics
from worker.execution.engine import EngineProvider
from worker.execution.previewer import Previewer
from worker.execution.reporter import Reporter
from worker.models.model_cache import ModelCache


@dataclass(frozen=True, kw_only=True)
class ExecutionContext:
    """Shared by all jobs of one worker process, and safe to use from several threads.

    Args:
        worker_id: the owner that claims name.
        claims: the records of the jobs.
        store, file_cleanup: the images, and the deletion of files that jobs leave behind.
        model_cache, engine: the models, and the engine that generates with them.
        leases: renews the leases of running jobs.
        reporter: writes the progress of running jobs.
        previewer: writes previews of running jobs; None: no previews.
        on_device_failure: called when the device can compute nothing any more.
        on_store_failure: called when an image could not be stored or read.
        metrics: measures jobs that succeed.
    """

    worker_id: str
    claims: Claims
    store: PictureStore
    file_cleanup: FileCleanup
    model_cache: ModelCache
    engine: EngineProvider
    leases: LeaseKeeper
    reporter: Reporter
    previewer: Previewer | None
    on_device_failure: Callable[[], object]
    on_store_failure: Callable[[], object] = lambda: None
    metrics: WorkerMetrics = field(default_factory=WorkerMetrics)

    def free_and_probe(self) -> bool:
        """Free all memory that can be freed. Returns whether the device still computes."""
        self.model_cache.clear()
        return self.engine.free_and_probe()
