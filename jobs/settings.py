"""The settings API and workers share. Instantiated by composition roots only."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from jobs.expiry import Keeping
from jobs.limits import Limits
from jobs.logs import LogFormat
from jobs.webhook_rules import WebhookRules
from jobs.webhook_signature import secret_bytes


class JobSettings(BaseSettings):
    """Read from the environment and `.env`; an empty variable counts as unset."""

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    data_dir: Path = Field(default=Path("data"), description="where everything is kept")
    models_dir: Path = Field(default=Path(), description="checkpoints; default DATA_DIR/models")
    outputs: str = Field(
        default="", description="folder or fsspec URL of the pictures; default DATA_DIR/outputs"
    )
    celery_broker_url: str = Field(
        default="redis://127.0.0.1:6379/0",
        repr=False,  # may hold a password
        description="the Redis that wakes the workers",
    )
    celery_result_backend: str = Field(
        default="",
        repr=False,
        description="the Redis of the jobs' records; default CELERY_BROKER_URL",
    )
    visibility_timeout: int = Field(
        default=21_600,
        gt=0,
        description="seconds until Redis gives an unacknowledged message away; must be longer "
        "than any job, and the same in every process",
    )
    default_model: str = Field(default="tiny", description="what the model `default` stands for")
    result_ttl_seconds: int = Field(
        default=86_400,
        gt=0,
        description="how long the record of an ended job is kept, and its pictures with skip_save",
    )
    outputs_ttl_seconds: int = Field(
        default=30 * 86_400, ge=0, description="how long pictures are kept; 0: for ever"
    )
    outputs_max_bytes: int = Field(
        default=0,
        ge=0,
        description="how large all pictures may be together, before the oldest are deleted; 0: any "
        "size",
    )
    remembered_seconds: int = Field(
        default=7 * 86_400,
        ge=0,
        description="how much longer the id of an expired job is answered with 410, not 404",
    )
    webhook_secret: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        repr=False,
        description="signs webhook messages: whsec_ and base64 of 24 to 64 bytes; several joined "
        "by commas while one is replaced; empty: no webhooks",
    )
    webhook_allow_private: bool = Field(
        default=False, description="let webhooks reach private and loopback addresses"
    )
    webhook_allow_http: bool = Field(
        default=False, description="let webhooks go to http, not https alone"
    )
    max_side: int = Field(default=Limits.max_side, ge=64, description="largest H and W")
    max_side_768: int = Field(
        default=Limits.max_side_768, ge=64, description="largest H and W for sd21v"
    )
    max_images: int = Field(default=Limits.max_images, ge=1, description="largest n_iter·n_samples")
    max_work: int = Field(
        default=Limits.max_work, ge=1, description="largest n_iter·n_samples·H·W·ddim_steps"
    )
    max_init_pixels: int = Field(
        default=Limits.max_init_pixels, ge=1, description="largest width·height of an init image"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="prompts are logged at DEBUG only"
    )
    log_format: LogFormat = Field(default="text", description="text, or one JSON object a line")

    @model_validator(mode="before")
    @classmethod
    def _follow(cls, values: dict[str, object]) -> dict[str, object]:
        """Give what was not set the value of what it follows."""
        fields = cls.model_fields
        data_dir = Path(str(values.get("data_dir", fields["data_dir"].default)))
        broker = values.get("celery_broker_url", fields["celery_broker_url"].default)
        return {
            "models_dir": data_dir / "models",
            "outputs": str(data_dir / "outputs"),
            "celery_result_backend": broker,
            **values,
        }

    @field_validator("webhook_secret", mode="before")
    @classmethod
    def _split_secrets(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(part.strip() for part in value.split(",") if part.strip())

    @field_validator("webhook_secret")
    @classmethod
    def _readable_secrets(cls, secrets: tuple[str, ...]) -> tuple[str, ...]:
        for secret in secrets:
            secret_bytes(secret)
        return secrets

    @property
    def webhook_rules(self) -> WebhookRules:
        """Which URLs may be told how a job goes."""
        return WebhookRules(
            on=bool(self.webhook_secret),
            allow_private=self.webhook_allow_private,
            allow_http=self.webhook_allow_http,
        )

    @property
    def keeping(self) -> Keeping:
        """How long pictures are kept."""
        return Keeping(
            transient_seconds=self.result_ttl_seconds,
            saved_seconds=self.outputs_ttl_seconds,
            most_bytes=self.outputs_max_bytes,
        )

    @property
    def limits(self) -> Limits:
        """The caps on one request."""
        return Limits(
            max_side=self.max_side,
            max_side_768=self.max_side_768,
            max_images=self.max_images,
            max_work=self.max_work,
            max_init_pixels=self.max_init_pixels,
        )
