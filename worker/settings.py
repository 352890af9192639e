"""The settings of a worker process, beside those it shares with the API."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import ByteSize, Field, field_validator, model_validator
from pydantic_settings import NoDecode

from jobs.names import JOB_TYPES, JobType
from jobs.settings import JobSettings
from worker.cores import default_slots
from worker.models.catalogue import Catalogue


class WorkerSettings(JobSettings):
    """Read from the environment and `.env`."""

    types: Annotated[tuple[JobType, ...], NoDecode] = Field(
        default=JOB_TYPES, min_length=1, description="job types to serve, joined by commas"
    )
    device: str = Field(
        default="auto",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
        description="where to compute: auto, cpu, cuda or cuda:N",
    )
    concurrency: int = Field(
        default=0, ge=0, description="jobs at once; 0: the cores on a CPU, 1 on a GPU"
    )
    torch_threads: int = Field(
        default=0, ge=0, description="threads a job computes with; 0: the cores by CONCURRENCY"
    )
    step_batching: bool = Field(
        default=False,
        description="let jobs of type standard share evaluations of a model; pays on a GPU with "
        "a CONCURRENCY of 4 or more, and for small models",
    )
    cuda_graphs: bool = Field(
        default=True,
        description="on a GPU: record the network's evaluations and replay them, which saves the "
        "calls of their layers",
    )
    optimized_weights: ByteSize = Field(
        default=ByteSize(0),
        description="on a GPU: how much of the UNet a job of type optimized, or in full precision, "
        "has there at once, such as 800MB; the rest is copied while it computes. 0: all of it",
    )
    models_memory: ByteSize = Field(
        default=ByteSize(0),
        description="memory for models, such as 12GB; 0: half of what the device has",
    )
    loras_dir: Path = Field(default=Path(), description="LoRAs; default DATA_DIR/loras")
    embeddings_dir: Path = Field(
        default=Path(), description="textual inversions; default DATA_DIR/embeddings"
    )
    cache_dir: Path = Field(
        default=Path(),
        description="what is known of models, and ready copies of them; default DATA_DIR/cache",
    )
    copies_size: ByteSize = Field(
        default=ByteSize(20_000_000_000),
        description="disk for ready copies of models, which load at once; 0: none are made",
    )
    lease_seconds: float = Field(
        default=10.0, gt=0, description="after how long a silent worker's job is given away"
    )
    renew_seconds: float = Field(
        default=0.5, gt=0, description="how often leases are renewed and cancellations seen"
    )
    reap_seconds: float = Field(
        default=1.0, gt=0, description="how often jobs of vanished workers are looked for"
    )
    wake_seconds: float = Field(
        default=10.0, gt=0, description="after how long a waiting job that nobody took is re-sent"
    )
    announce_seconds: float = Field(
        default=3.0, gt=0, description="how often the worker says that it is alive"
    )
    max_attempts: int = Field(
        default=3, ge=1, description="how many workers may die of a job before it has failed"
    )
    shutdown_grace_seconds: float = Field(
        default=2.0,
        ge=0,
        description="how long running jobs may go on after SIGTERM before they are handed back",
    )
    shutdown_seconds: float = Field(
        default=25.0,
        gt=0,
        description="after how long a worker that shuts down is gone, whatever it still does",
    )
    sweep_seconds: float = Field(
        default=60.0, gt=0, description="how often expired pictures and remains are deleted"
    )
    stray_seconds: float = Field(
        default=600.0, gt=0, description="how long a file that no job claims is left alone"
    )
    webhook_retry_seconds: Annotated[tuple[float, ...], NoDecode] = Field(
        default=(5, 30, 300, 1800, 7200, 18_000, 36_000),
        description="seconds to wait before each further attempt to deliver a webhook",
    )
    webhook_timeout_seconds: float = Field(
        default=10.0, gt=0, description="how long an attempt to deliver a webhook may take"
    )
    upscaler: str = Field(
        default="",
        description="file in MODELS_DIR/upscalers to upscale with; empty: the first, or the "
        "shipped one",
    )
    metrics_host: str = Field(default="127.0.0.1", description="address METRICS_PORT listens on")
    metrics_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="where a worker answers GET /metrics; 0: nowhere. Of several workers on one "
        "machine each takes the next free port",
    )
    previews: bool = Field(
        default=True, description="show what the pictures of running jobs look like so far"
    )
    preload: bool = Field(default=True, description="load the default model at start")
    celery_events: bool = Field(
        default=False, description="tell Celery's monitors, such as Flower, of workers and tasks"
    )

    @field_validator("types", "webhook_retry_seconds", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @model_validator(mode="before")
    @classmethod
    def _beside_data(cls, values: dict[str, object]) -> dict[str, object]:
        """Put the folders that were not set where the data is."""
        data_dir = Path(str(values.get("data_dir", cls.model_fields["data_dir"].default)))
        folders = ("loras", "embeddings", "cache")
        return {f"{folder}_dir": data_dir / folder for folder in folders} | values

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
