"""The API's settings, in addition to those it shares with the workers."""

import re
from pathlib import Path
from typing import Annotated, Literal

from limits import parse
from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_settings import NoDecode

from api.auth import DUMMY_KEY, read_keys
from api.http.cors import ANY_ORIGIN
from jobs.limits import WaitingCaps
from jobs.settings import JobSettings

NO_LIMIT = "none"
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s?#@*]+")


class ApiSettings(JobSettings):
    """Read from the environment and `.env`; an empty variable counts as unset."""

    api_host: str = Field(default="127.0.0.1", description="address that the API listens on")
    port: int = Field(default=5001, ge=1, le=65535, description="port that the API listens on")
    monitoring_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="port of GET /workers and GET /metrics, which PORT then no longer has; 0: PORT "
        "has them",
    )
    monitoring_host: str = Field(
        default="127.0.0.1", description="address that MONITORING_PORT listens on"
    )
    api_keys: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(DUMMY_KEY,),
        min_length=1,
        repr=False,
        description="accepted API keys, comma-separated",
    )
    api_keys_file: Path | None = Field(
        default=None, description="file of further API keys, one a line; # begins a comment"
    )
    admin_keys: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        repr=False,
        description="accepted keys that may also cancel the jobs of other keys, comma-separated",
    )
    admin_keys_file: Path | None = Field(
        default=None, description="file of further admin keys, one a line"
    )
    rate_limit: str = Field(
        default="600/minute",
        description=f"requests per key: N/second, N/minute or N/hour; {NO_LIMIT}: no limit",
    )
    wrong_key_limit: str = Field(
        default="10/minute",
        description="requests with a wrong key per address: N/second, N/minute or N/hour; a right "
        "key in a header is always accepted",
    )
    trusted_proxies: int = Field(
        default=0,
        ge=0,
        description="reverse proxies in front of the API: the client's address is the one that "
        "the first of them has added to X-Forwarded-For; 0: that of the connection",
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="names in the Host header that the API answers to, comma-separated; "
        ".example.org: its subdomains too; *: any. Empty: localhost while the API listens on the "
        "loopback interface, else any",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="origins whose pages may call the API from a browser, comma-separated, such as "
        "https://app.example; *: any. Empty: none",
    )
    recent_of: Literal["own", "all"] | None = Field(
        default=None,
        description="whose finished jobs /recent and the gallery show: own: those of the key, "
        "all: those of all keys; an admin key sees all. Default: own, but all while there is only "
        "the dummy key",
    )
    max_waiting_per_key: int = Field(
        default=500, ge=0, description="waiting jobs per key; 0: no limit"
    )
    max_waiting: int = Field(
        default=1000, ge=0, description="waiting jobs of all keys together; 0: no limit"
    )
    max_bytes_per_key: int = Field(
        default=16 * 1024**2,
        ge=0,
        description="bytes of Redis' memory that the jobs of a key may hold: no more are accepted "
        "while its unended jobs hold them, and the records of its ended jobs, the oldest first, "
        "are deleted before RESULT_TTL_SECONDS; 0: no limit",
    )
    prompts_dir: Path = Field(
        default=Path(), description="folder of prompt files for from-file; default DATA_DIR/prompts"
    )
    wildcards_dir: Path = Field(
        default=Path(), description="folder of files for wildcards; default DATA_DIR/wildcards"
    )
    api_threads: int = Field(default=64, ge=2, description="concurrent requests")
    event_streams: int = Field(
        default=64,
        ge=0,
        le=500,
        description="concurrent event streams, each with a thread besides API_THREADS; 0: none",
    )
    request_seconds: float = Field(
        default=30, gt=0, description="seconds until a client must have sent its request"
    )
    keep_alive_seconds: int = Field(
        default=75,
        ge=0,
        description="seconds that an idle connection stays open for the client's next request; "
        "longer than a proxy in front keeps its connections; 0: no next request",
    )
    client_share: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="part of the places for synchronous requests, event streams and long uploads "
        "that one key, job or address may hold; 1: all",
    )
    max_body_mib: int = Field(default=16, ge=1, description="largest body of a request, in MiB")
    sync_timeout: float = Field(
        default=600, gt=0, description="seconds that a synchronous request waits for its picture"
    )

    @model_validator(mode="before")
    @classmethod
    def _below_data(cls, values: dict[str, object]) -> dict[str, object]:
        data_dir = Path(str(values.get("data_dir", cls.model_fields["data_dir"].default)))
        folders = {"prompts_dir": data_dir / "prompts", "wildcards_dir": data_dir / "wildcards"}
        return {**folders, **values}

    @field_validator("monitoring_port")
    @classmethod
    def _apart(cls, monitoring_port: int, info: ValidationInfo) -> int:
        if monitoring_port == info.data.get("port"):
            raise ValueError("must be another port than PORT; 0 serves both on PORT")
        return monitoring_port

    @field_validator("api_keys", "admin_keys", "allowed_hosts", "cors_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(key.strip() for key in value.split(",") if key.strip())

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        """As an Origin header has them: in lower case, without a path."""
        written = tuple(origin.lower().removesuffix("/") for origin in origins)
        for origin in written:
            if origin not in (ANY_ORIGIN, "null") and not _ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"{origin} is no origin: it needs a scheme and a host, and a port if it is not "
                    "the scheme's own, such as https://app.example:8443"
                )
        return written

    @field_validator("api_keys_file", "admin_keys_file")
    @classmethod
    def _readable(cls, path: Path | None) -> Path | None:
        if path is not None:
            read_keys(path)
        return path

    @field_validator("rate_limit")
    @classmethod
    def _rate(cls, rate: str) -> str:
        if rate.lower() == NO_LIMIT:
            return NO_LIMIT
        parse(rate)
        return rate

    @field_validator("wrong_key_limit")
    @classmethod
    def _wrong_key_rate(cls, rate: str) -> str:
        parse(rate)
        return rate

    @property
    def keys(self) -> tuple[str, ...]:
        """The accepted keys: those of API_KEYS and those of the file.

        The dummy key is accepted if API_KEYS names it, or if neither is set.
        """
        if self.api_keys_file is None:
            return self.api_keys
        configured = self.api_keys if "api_keys" in self.model_fields_set else ()
        return configured + read_keys(self.api_keys_file)

    @property
    def all_admin_keys(self) -> tuple[str, ...]:
        """The keys that may cancel all jobs: those of ADMIN_KEYS and those of the file."""
        return self.admin_keys + (read_keys(self.admin_keys_file) if self.admin_keys_file else ())

    @property
    def recent_of_all_keys(self) -> bool:
        """Whether every key sees the finished jobs of all keys."""
        if self.recent_of is None:
            return {*self.keys, *self.all_admin_keys} == {DUMMY_KEY}
        return self.recent_of == "all"

    @property
    def waiting_caps(self) -> WaitingCaps:
        """How many jobs may wait, and how much of Redis' memory they may hold."""
        return WaitingCaps(
            per_submitter=self.max_waiting_per_key,
            total=self.max_waiting,
            bytes_per_submitter=self.max_bytes_per_key,
        )

    @property
    def max_body_bytes(self) -> int:
        """The largest body of a request, in bytes."""
        return self.max_body_mib * 1024**2

    @property
    def threads(self) -> int:
        """The threads for requests and for event streams."""
        return self.api_threads + self.event_streams

    @property
    def synchronous_slots(self) -> int:
        """How many synchronous requests may wait; the other half of the threads stays free."""
        return self.api_threads // 2
