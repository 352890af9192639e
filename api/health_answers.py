"""The JSON that tells whoever watches over the service how it is doing, as schemas."""

from pydantic import BaseModel, Field

from jobs.names import JobKind, JobType
from jobs.status import JobState


class Alive(BaseModel):
    """This process answers."""

    status: str


class Ready(BaseModel):
    """A job would be drawn."""

    status: str
    workers: int = Field(description="how many are alive")
    types: list[JobType]
    models: list[str]
    default_model: str
    default_model_installed: bool


class NotReady(Ready):
    """A job would not be drawn, and why. The other facts are as far as they are known."""

    problem: str = Field(description="all of it in a sentence")
    missing: list[str] = Field(
        description="for programs: records, store, workers, workers:standard, workers:optimized"
    )


class RunningJob(BaseModel):
    """A job in a worker's hands. Which one, is not told: who knows its id sees its pictures."""

    kind: JobKind
    active_model: str
    State: JobState
    Progress: float = Field(ge=0, le=1)
    running_seconds: float = Field(ge=0, description="since its first attempt began")
    attempts: int = Field(description="how often a worker has started it")


class Worker(BaseModel):
    """A worker that is alive."""

    worker: str = Field(description="host, process and a random part; new at every start")
    heard_seconds_ago: float = Field(ge=0, description="the age of its last announcement")
    types: list[JobType] = Field(description="served by it")
    models: list[str] = Field(description="installed there")
    loaded: list[str] = Field(description="in its memory")
    device: str
    slots: int = Field(description="jobs it can run at once")
    busy: int = Field(description="jobs it runs now")
    jobs: list[RunningJob] = Field(description="those jobs, as far as they still run")
    memory_bytes: int | None = Field(description="of the process; null: cannot be told")
    gpu_memory_bytes: int | None = Field(description="taken of its GPU; null: it has none")


class WorkerList(BaseModel):
    """The workers that are alive."""

    workers: list[Worker]
