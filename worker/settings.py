"""The settings of a worker process, in addition to those it shares with the API."""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import ByteSize, Field, field_validator, model_validator
from pydantic_settings import NoDecode

from jobs.names import JOB_TYPES, JobType
from jobs.records.claims import MAX_HAND_BACKS, PAUSES_SECONDS, PAUSES_WINDOW_SECONDS
from jobs.settings import JobSettings
from worker.cores import default_slots
from worker.models.catalogue import Catalogue


class WorkerSettings(JobSettings):
    """Read from the environment and `.env`."""

    job_types: Annotated[tuple[JobType, ...], NoDecode] = Field(
        default=JOB_TYPES, min_length=1, description="job types to serve, comma-separated"
    )
    device: str = Field(
        default="auto",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
        description="device to compute on: auto, cpu, cuda or cuda:N",
    )
    concurrency: int = Field(
        default=0, ge=0, description="concurrent jobs; 0: one per core on a CPU, 1 on a GPU"
    )
    torch_threads: int = Field(
        default=0, ge=0, description="threads per job; 0: cores divided by CONCURRENCY"
    )
    step_batching: bool = Field(
        default=False,
        description="evaluate the steps of concurrent jobs of type standard in one batch; faster "
        "on a GPU with a CONCURRENCY of 4 or more, and for small models",
    )
    cuda_graphs: bool = Field(
        default=True,
        description="on a GPU: capture the UNet's evaluations as CUDA graphs and replay them, "
        "which saves the launches of single kernels",
    )
    unet_vram_budget: ByteSize = Field(
        default=ByteSize(0),
        description="GPU memory for the UNet of a job of type optimized, or in full precision, "
        "such as 800MB; the other weights are copied from the host during each step. 0: no limit",
    )
    models_memory: ByteSize = Field(
        default=ByteSize(0),
        description="memory for the loaded models of one worker, such as 12GB; 0: half of the "
        "device's memory, divided by WORKERS",
    )
    workers: int = Field(
        default=1,
        ge=1,
        description="workers of this machine, which share the memory of one device; `make up` "
        "starts as many",
    )
    loras_dir: Path = Field(default=Path(), description="folder of LoRAs; default DATA_DIR/loras")
    embeddings_dir: Path = Field(
        default=Path(), description="folder of textual inversions; default DATA_DIR/embeddings"
    )
    cache_dir: Path = Field(
        default=Path(),
        description="folder of the weight cache and of facts about models; default DATA_DIR/cache",
    )
    weight_cache_bytes: ByteSize = Field(
        default=ByteSize(20_000_000_000),
        description="disk space for converted models, which load faster, such as 20GB; 0: no cache",
    )
    lease_seconds: float = Field(
        default=10.0,
        gt=0,
        description="seconds without a renewal after which another worker may take a job; the same "
        "in every worker, or they cut one another's leases",
    )
    renew_seconds: float = Field(
        default=0.5,
        gt=0,
        description="seconds between two renewals of leases, and two checks for cancellations",
    )
    reap_seconds: float = Field(
        default=1.0, gt=0, description="seconds between two searches for jobs with an expired lease"
    )
    resend_after: float = Field(
        default=10.0,
        gt=0,
        description="seconds after which the message of a waiting job is sent again",
    )
    heartbeat_interval: float = Field(
        default=3.0, gt=0, description="seconds between two heartbeats of the worker"
    )
    progress_seconds: float = Field(
        default=300.0,
        gt=0,
        description="seconds without an evaluation, a loaded or stored byte or an upscaled tile, "
        "after which a job hangs and the worker exits with 75; for batches of up to a megapixel, "
        "in proportion for larger ones",
    )
    deadline_seconds: float = Field(
        default=3600.0,
        gt=0,
        description="seconds that every job may run after its model is loaded; a job whose work "
        "takes long at its measured rate may run for ten times that long",
    )
    max_attempts: int = Field(
        default=3, ge=1, description="how many workers may die during a job before the job fails"
    )
    max_hand_backs: int = Field(
        default=MAX_HAND_BACKS,
        ge=0,
        description="how often workers that shut down may return a job to the queue; each further "
        "time counts as an attempt",
    )
    postpone_seconds: Annotated[tuple[Annotated[float, Field(ge=0)], ...], NoDecode] = Field(
        default=PAUSES_SECONDS,
        description="seconds for which a job waits each time that the store or Redis failed while "
        "it ran; after the last pause it fails",
    )
    postpone_window: float = Field(
        default=PAUSES_WINDOW_SECONDS,
        gt=0,
        description="seconds after which a job's earlier pauses no longer count",
    )
    store_probe_seconds: float = Field(
        default=3.0,
        gt=0,
        description="seconds for which a worker relies on its last probe of the picture store",
    )
    shutdown_grace_seconds: float = Field(
        default=2.0,
        ge=0,
        description="seconds that running jobs have after SIGTERM before they return to the queue",
    )
    shutdown_seconds: float = Field(
        default=25.0,
        gt=0,
        description="seconds after SIGTERM until the worker exits, even if jobs still run",
    )
    sweep_seconds: float = Field(
        default=60.0,
        gt=0,
        description="seconds between two deletions of expired pictures and orphaned files",
    )
    orphan_grace: float = Field(
        default=600.0,
        gt=0,
        description="age in seconds at which a file that belongs to no job is deleted",
    )
    webhook_retry_seconds: Annotated[tuple[float, ...], NoDecode] = Field(
        default=(5, 30, 300, 1800, 7200, 18_000, 36_000),
        description="seconds before each retry of a webhook",
    )
    webhook_timeout_seconds: float = Field(
        default=10.0, gt=0, description="seconds until an attempt to deliver a webhook times out"
    )
    upscaler: str = Field(
        default="",
        description="file in MODELS_DIR/upscalers to upscale with; empty: the first file there, or "
        "the included one",
    )
    metrics_host: str = Field(
        default="127.0.0.1", description="address that METRICS_PORT listens on"
    )
    metrics_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="port of GET /metrics; 0: no metrics. Each further worker on one machine takes "
        "the next free port",
    )
    previews: bool = Field(
        default=True, description="publish previews of the pictures of running jobs"
    )
    preload: bool = Field(default=True, description="load the default model at start")
    celery_events: bool = Field(
        default=False, description="send Celery's events, which monitors such as Flower need"
    )

    @field_validator("job_types", "postpone_seconds", "webhook_retry_seconds", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @model_validator(mode="before")
    @classmethod
    def _beside_data(cls, values: dict[str, object]) -> dict[str, object]:
        """Default folders are below DATA_DIR."""
        data_dir = Path(str(values.get("data_dir", cls.model_fields["data_dir"].default)))
        folders = ("loras", "embeddings", "cache")
        return {f"{folder}_dir": data_dir / folder for folder in folders} | values

    @model_validator(mode="after")
    def _leases_are_kept(self) -> Self:
        """Refuse searches for expired leases that are so rare that none ever takes a job.

        After half a lease without one `jobs.records.lease_clock` takes none, so that renewals
        come first.
        """
        for name in ("renew_seconds", "reap_seconds"):
            if (value := getattr(self, name)) >= self.lease_seconds / 2:
                raise ValueError(
                    f"{name.upper()} is {value:g}: must be below half of LEASE_SECONDS, which is "
                    f"{self.lease_seconds:g}"
                )
        return self

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        """Refuse a time that must pass before another one, but is longer."""
        for first, second, otherwise in (
            ("shutdown_grace_seconds", "shutdown_seconds", "the worker exits with jobs in hand"),
            ("progress_seconds", "deadline_seconds", "the deadline ends jobs that still progress"),
        ):
            early, late = getattr(self, first), getattr(self, second)
            if early >= late:
                raise ValueError(
                    f"{first.upper()}={early:g} must be less than {second.upper()}={late:g}, or "
                    f"{otherwise}: change one of them"
                )
        return self

    @property
    def catalogue(self) -> Catalogue:
        """What is installed."""
        return Catalogue(
            self.models_dir,
            self.default_model,
            loras_dir=self.loras_dir,
            embeddings_dir=self.embeddings_dir,
        )

    @property
    def slots(self) -> int:
        """Jobs at once."""
        return self.concurrency or default_slots(self.device)
