"""The settings of a worker process, beside those it shares with the API."""

from typing import Annotated, Any

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from jobs.names import JOB_TYPES, JobType
from jobs.settings import JobSettings
from worker.cores import default_slots


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
    models_kept: int = Field(
        default=2, ge=1, description="models held in memory while no job uses them"
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
    upscaler: str = Field(
        default="",
        description="file in MODELS_DIR/upscalers to upscale with; empty: the first, or the "
        "shipped one",
    )
    preload: bool = Field(default=True, description="load the default model at start")
    celery_events: bool = Field(
        default=False, description="tell Celery's monitors, such as Flower, of workers and tasks"
    )

    @field_validator("types", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @property
    def slots(self) -> int:
        """Jobs at once."""
        return self.concurrency or default_slots(self.device)
