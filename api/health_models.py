"""The JSON of /healthz, /readyz and /workers, as schemas."""

from typing import Literal

from pydantic import BaseModel, Field

from jobs.names import JobKind, JobType
from jobs.status import JobState


class Alive(BaseModel):
    """This process answers."""

    status: str


class Readiness(BaseModel):
    """What works, and every problem. The facts are given as far as they are known."""

    status: Literal["ready", "not ready"] = Field(description="whether what was asked for works")
    problem: str = Field(description="every problem, in a sentence; empty: none")
    missing: list[str] = Field(
        description="for programs: records, store, workers, workers:store, workers:standard, "
        "workers:optimized"
    )
    workers: int = Field(description="how many are alive")
    types: list[JobType]
    models: list[str]
    default_model: str
    default_model_installed: bool


class RunningJob(BaseModel):
    """A job that a worker runs. Its id is not shown, since the id gives access to its pictures."""

    kind: JobKind
    active_model: str
    State: JobState
    Progress: float = Field(ge=0, le=1)
    running_seconds: float = Field(ge=0, description="since its first attempt began")
    attempts: int = Field(description="how often a worker has started it")


class Worker(BaseModel):
    """A live worker."""

    worker: str = Field(description="host, process and a random part; new at every start")
    heard_seconds_ago: float = Field(ge=0, description="the age of its last heartbeat")
    types: list[JobType] = Field(description="job types it serves")
    models: list[str] = Field(description="installed models")
    loaded: list[str] = Field(description="models in its memory")
    device: str
    slots: int = Field(description="jobs it can run at once")
    busy: int = Field(description="jobs it runs now")
    jobs: list[RunningJob] = Field(description="the running jobs")
    problem: str = Field(description="why it claims no jobs now; empty: it does")
    oldest_progress_seconds: float = Field(
        ge=0, description="the longest time that one of its jobs has not progressed"
    )
    memory_bytes: int | None = Field(description="of the process; null: unknown")
    gpu_memory_bytes: int | None = Field(description="allocated on its GPU; null: it has none")


class WorkerList(BaseModel):
    """The live workers."""

    workers: list[Worker]
