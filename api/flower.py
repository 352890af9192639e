"""`python -m api.flower`: Flower, Celery's monitor, for the job queue, behind a password.

A process of its own. It needs the queue's settings and the packages of flower.lock, and shows the
workers that run with CELERY_EVENTS=true.
"""

from pydantic import Field, field_validator

from jobs.environment import read_settings
from jobs.logs import configure_logging
from jobs.queue import make_celery
from jobs.settings import JobSettings

SHORTEST_PASSWORD = 8


class FlowerSettings(JobSettings):
    """Read from the environment and `.env`."""

    flower_basic_auth: str = Field(
        default="", validate_default=True, repr=False, description="user:password for Flower"
    )

    @field_validator("flower_basic_auth")
    @classmethod
    def _with_password(cls, value: str) -> str:
        user, _, password = value.partition(":")
        # Flower splits the value at commas into several users.
        if not user or len(password) < SHORTEST_PASSWORD or "," in value:
            raise ValueError(
                "Flower can stop workers, so it needs a user and a password: set FLOWER_PASSWORD, "
                f"at least {SHORTEST_PASSWORD} characters without a comma"
            )
        return value


def main() -> None:
    """Serve the pages on port 5555 until SIGTERM."""
    settings = read_settings(FlowerSettings)
    configure_logging(settings.log_level, settings.log_format)
    app = make_celery(settings)
    app.start(["flower", "--port=5555", f"--basic-auth={settings.flower_basic_auth}"])


if __name__ == "__main__":
    main()
