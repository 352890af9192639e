"""What the shell offers after --model and --sampler: what the service has, if it says so soon."""

from collections.abc import Callable

import typer

from sd_client.client import Client
from sd_client.errors import ClientError

SECONDS = 1.0
"""Nobody waits for a completion longer than that."""


def model_names(context: typer.Context, incomplete: str) -> list[str]:
    """The models that begin so."""
    return _offered(context, incomplete, lambda c: [model.name for model in c.models().models])


def sampler_names(context: typer.Context, incomplete: str) -> list[str]:
    """The samplers' keys that begin so."""
    return _offered(
        context, incomplete, lambda c: [sampler.key for sampler in c.capabilities().samplers]
    )


def _offered(
    context: typer.Context, incomplete: str, names: Callable[[Client], list[str]]
) -> list[str]:
    typed = context.params or {}
    try:
        with Client(
            typed.get("address"), api_key=typed.get("key"), timeout=SECONDS, retries=0
        ) as client:
            return [name for name in names(client) if name.startswith(incomplete)]
    except ClientError:
        return []
