"""What a worker process announces of itself, and the gauges of its metrics."""

from dataclasses import dataclass

from jobs.names import JobType
from jobs.worker_facts import WorkerFacts
from worker.background.lease import LeaseKeeper
from worker.background.memory_usage import gpu_bytes, resident_bytes
from worker.background.metrics import WorkerMetrics
from worker.background.store_probe import StoreProbe
from worker.background.watchdog import Watchdog
from worker.execution.engine import EngineProvider
from worker.models.catalogue import Catalogue
from worker.models.inventory import Inventory
from worker.models.model_cache import ModelCache


@dataclass(frozen=True, kw_only=True)
class WorkerStatus:
    """Reads the state of a worker from its parts.

    Args:
        worker_id: announced.
        types: the job types it serves.
        slots: how many jobs it can execute at once.
        device: the setting, announced until the engine is built.
    """

    worker_id: str
    types: tuple[JobType, ...]
    slots: int
    device: str
    catalogue: Catalogue
    inventory: Inventory
    model_cache: ModelCache
    engine: EngineProvider
    leases: LeaseKeeper
    store_probe: StoreProbe
    watchdog: Watchdog

    def facts(self) -> WorkerFacts:
        """What the worker serves, and what it is doing now. Never blocks."""
        running = self.leases.running()
        loaded = self.model_cache.loaded()
        known_loras = self.inventory.loras()
        return WorkerFacts(
            worker_id=self.worker_id,
            types=self.types,
            models=tuple(sorted(self.catalogue.installed())),
            default_model=self.catalogue.default,
            device=self.engine.device(self.device),
            slots=self.slots,
            busy=len(running),
            jobs=tuple(job.claim.job_id for job in running),
            oldest_progress_seconds=self.watchdog.oldest_progress_seconds,
            memory_bytes=resident_bytes(),
            gpu_memory_bytes=self._gpu_bytes(),
            loaded=loaded,
            model_facts=self.inventory.facts(loaded, known_loras),
            loras=tuple(sorted(self.catalogue.loras())),
            lora_facts=tuple(lora.facts for lora in known_loras),
            lora_widths=self.inventory.lora_widths(),
            embeddings=tuple(sorted(self.catalogue.embeddings())),
            vaes=tuple(sorted(self.catalogue.vaes())),
            problem=self.store_probe.problem,
            lora_aliases=tuple(sorted(self.catalogue.lora_folder.aliases())),
            embedding_aliases=tuple(sorted(self.catalogue.embedding_aliases())),
            bundled_embeddings=tuple(sorted(self.catalogue.lora_folder.embeddings())),
        )

    def free_slots(self) -> int:
        """How many more jobs the worker could execute now; none while no pictures can be stored."""
        return 0 if self.store_probe.problem else self.slots - len(self.leases.running())

    def add_gauges(self, metrics: WorkerMetrics) -> None:
        """Export the state as gauges."""
        gauge = metrics.add_gauge
        gauge("sd_worker_slots", "jobs it can run at once", lambda: self.slots)
        gauge("sd_worker_busy", "jobs it runs now", lambda: len(self.leases.running()))
        gauge(
            "sd_worker_oldest_progress_seconds",
            "the longest time that one of its jobs has not progressed; 0 without a job",
            lambda: self.watchdog.oldest_progress_seconds,
        )
        gauge("sd_worker_models", "models in memory", lambda: len(self.model_cache.loaded()))
        gauge("sd_worker_model_bytes", "bytes of models in memory", self.model_cache.nbytes)
        gauge(
            "sd_worker_gpu_memory_bytes",
            "bytes of GPU memory in use; 0 without a GPU",
            lambda: self._gpu_bytes() or 0,
        )

    def _gpu_bytes(self) -> int | None:
        return gpu_bytes(self.engine.device(self.device))
