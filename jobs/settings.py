"""The settings that API and workers share. Instantiated by composition roots only."""

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ByteSize, Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from jobs.limits import Limits
from jobs.logs import LogFormat
from jobs.records.expiry import Retention
from jobs.webhooks.rules import WebhookRules
from jobs.webhooks.signature import WebhookSecrets, secret_bytes


class JobSettings(BaseSettings):
    """Read from the environment and `.env`; an empty variable counts as unset."""

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    data_dir: Path = Field(default=Path("data"), description="folder of all data")
    models_dir: Path = Field(default=Path(), description="checkpoints; default DATA_DIR/models")
    outputs: str = Field(
        default="", description="folder or fsspec URL of the pictures; default DATA_DIR/outputs"
    )
    celery_broker_url: str = Field(
        default="redis://127.0.0.1:6379/0",
        repr=False,  # may hold a password
        description="URL of the Redis whose messages wake the workers",
    )
    celery_result_backend: str = Field(
        default="",
        repr=False,
        description="URL of the Redis of the jobs' records; default CELERY_BROKER_URL",
    )
    default_model: str = Field(default="tiny", description="name of the model that `default` means")
    result_ttl_seconds: int = Field(
        default=86_400,
        gt=0,
        description="seconds until the record of an ended job expires, and its pictures with "
        "skip_save",
    )
    outputs_ttl_seconds: int = Field(
        default=30 * 86_400, ge=0, description="seconds until pictures expire; 0: never"
    )
    outputs_max_bytes: int = Field(
        default=0,
        ge=0,
        description="total size of all pictures above which the oldest are deleted; 0: no limit",
    )
    store_room: ByteSize = Field(
        default=ByteSize(1_000_000),
        description="bytes that must be free in a folder of pictures, such as 1MB; with less, "
        "workers claim no jobs and /readyz fails",
    )
    tombstone_ttl: int = Field(
        default=7 * 86_400,
        ge=0,
        description="seconds after its expiry during which a job's id returns 410, not 404",
    )
    webhook_secret: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        repr=False,
        description="key that signs the webhook messages of all API keys: whsec_ and base64 of 24 "
        "to 64 bytes; during a rotation several, comma-separated. Webhooks are off unless this or "
        "WEBHOOK_MASTER_SECRET is set",
    )
    webhook_master_secret: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        repr=False,
        description="as WEBHOOK_SECRET, but known to this service only: each API key has a secret "
        "derived from it, which GET /webhook-secret returns",
    )
    webhook_allow_private: bool = Field(
        default=False, description="allow webhook URLs with private and loopback addresses"
    )
    webhook_allow_http: bool = Field(
        default=False, description="allow http webhook URLs, not only https"
    )
    max_side: int = Field(default=Limits.max_side, ge=64, description="largest H and W")
    max_side_768: int = Field(
        default=Limits.max_side_768, ge=64, description="largest H and W of a model trained at 768"
    )
    max_side_1024: int = Field(
        default=Limits.max_side_1024,
        ge=64,
        description="largest H and W of a model trained at 1024",
    )
    max_images: int = Field(default=Limits.max_images, ge=1, description="largest n_iter·n_samples")
    max_work: int = Field(
        default=Limits.max_work, ge=1, description="largest n_iter·n_samples·H·W·ddim_steps"
    )
    max_init_pixels: int = Field(
        default=Limits.max_init_pixels, ge=1, description="largest width·height of an init image"
    )
    max_output_pixels: int = Field(
        default=Limits.max_output_pixels,
        ge=1,
        description="largest n_iter·n_samples·output_width·output_height",
    )
    max_hires_pixels: int = Field(
        default=Limits.max_hires_pixels, ge=1, description="largest width·height of a second pass"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="DEBUG, INFO, WARNING or ERROR; only DEBUG logs prompts"
    )
    log_format: LogFormat = Field(default="text", description="text, or json: one object a line")

    @model_validator(mode="before")
    @classmethod
    def _follow(cls, values: dict[str, object]) -> dict[str, object]:
        """Derive the default of a setting that depends on another."""
        fields = cls.model_fields
        data_dir = Path(str(values.get("data_dir", fields["data_dir"].default)))
        broker = values.get("celery_broker_url", fields["celery_broker_url"].default)
        return {
            "models_dir": data_dir / "models",
            "outputs": str(data_dir / "outputs"),
            "celery_result_backend": broker,
            **values,
        }

    @field_validator("webhook_secret", "webhook_master_secret", mode="before")
    @classmethod
    def _split_secrets(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(part.strip() for part in value.split(",") if part.strip())

    @field_validator("webhook_secret", "webhook_master_secret")
    @classmethod
    def _readable_secrets(cls, secrets: tuple[str, ...]) -> tuple[str, ...]:
        for secret in secrets:
            secret_bytes(secret)
        return secrets

    @property
    def webhook_secrets(self) -> WebhookSecrets:
        """What signs webhook messages."""
        return WebhookSecrets(self.webhook_master_secret, self.webhook_secret)

    @property
    def webhook_rules(self) -> WebhookRules:
        """Which webhook URLs are allowed."""
        return WebhookRules(
            on=bool(self.webhook_secrets),
            allow_private=self.webhook_allow_private,
            allow_http=self.webhook_allow_http,
        )

    @property
    def retention(self) -> Retention:
        """How long pictures are kept."""
        return Retention(
            transient_seconds=self.result_ttl_seconds,
            saved_seconds=self.outputs_ttl_seconds,
            max_bytes=self.outputs_max_bytes,
        )

    @property
    def limits(self) -> Limits:
        """The caps on one request."""
        return Limits(**{cap.name: getattr(self, cap.name) for cap in fields(Limits)})
