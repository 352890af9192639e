"""The API's settings: those of the jobs, and its own."""

from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from api.auth import DUMMY_KEY
from jobs.settings import JobSettings


class ApiSettings(JobSettings):
    """Read from the environment and `.env`; an empty variable counts as unset."""

    api_host: str = Field(default="127.0.0.1", description="address the API listens on")
    port: int = Field(default=5001, ge=1, le=65535, description="port the API listens on")
    api_keys: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(DUMMY_KEY,), min_length=1, repr=False, description="keys let in, comma-separated"
    )
    api_threads: int = Field(default=64, ge=2, description="requests answered at once")
    max_body_mib: int = Field(default=16, ge=1, description="largest body of a request, in MiB")
    synchronous_seconds: float = Field(
        default=600, gt=0, description="how long a synchronous request waits for its picture"
    )

    @field_validator("api_keys", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(key.strip() for key in value.split(",") if key.strip())

    @property
    def max_body_bytes(self) -> int:
        """The largest body of a request, in bytes."""
        return self.max_body_mib * 1024**2

    @property
    def synchronous_slots(self) -> int:
        """How many requests may wait for their pictures: the other half of the threads is free."""
        return self.api_threads // 2
