"""The launcher's settings, read once from the environment and `.env`."""

from pathlib import Path
from typing import Literal

from pydantic import ByteSize, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from launcher.valkey import MAX_MEMORY


class LauncherSettings(BaseSettings):
    """What the launcher itself needs. The services read their settings from the same environment.

    An empty variable counts as unset.
    """

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore")

    api_host: str = Field(
        default="127.0.0.1",
        description="address that the API listens on; 0.0.0.0 opens it to the network",
    )
    port: int = Field(default=5001, ge=1, le=65535, description="port that the API listens on")
    data_dir: Path = Field(default=Path("data"), description="folder of queue, pictures and models")
    workers: int = Field(
        default=1, ge=1, le=64, description="worker processes; they share cores and memory"
    )
    celery_broker_url: str = Field(
        default="",
        description="URL of an existing Redis or Valkey whose messages wake the workers; "
        "empty: the launcher starts a private Valkey",
    )
    celery_result_backend: str = Field(
        default="", description="URL of the Redis of the jobs' records; empty: CELERY_BROKER_URL"
    )
    valkey_max_memory: ByteSize = Field(
        default=ByteSize(MAX_MEMORY),
        ge=16 * 2**20,
        description="memory for the data of the private Valkey in bytes, or such as 512MiB; while "
        "it is full, new jobs are refused and accepted ones are kept",
    )
    log_format: Literal["text", "json"] = Field(
        default="text", description="log format of every process: text, or json: one object a line"
    )
    ready_timeout: float = Field(
        default=300,
        gt=0,
        description="seconds until a service that is not ready is stopped with an error",
    )
