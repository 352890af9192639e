"""The launcher's settings, read once from the environment and `.env`."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class LauncherSettings(BaseSettings):
    """What to start, and where. Everything else goes on to the services through the environment.

    Raises pydantic.ValidationError for a value that cannot be.
    """

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore")

    host: str = "127.0.0.1"
    """The address that the API listens on; 0.0.0.0 opens it to the network."""
    port: int = Field(default=5001, ge=1, le=65535)
    """The API's port."""
    data_dir: Path = Path("data")
    """Where the queue, the pictures and the models are kept."""
    workers: int = Field(default=1, ge=1, le=64)
    """How many worker processes."""
    celery_broker_url: str = ""
    """A Redis or Valkey of one's own; empty: a private Valkey is started."""
    celery_result_backend: str = ""
    """Where the jobs' records are kept; empty: beside the queue."""
    ready_timeout: float = Field(default=300, gt=0)
    """Seconds until a service that does not answer is given up."""
