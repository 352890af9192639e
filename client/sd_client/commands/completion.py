"""Shell completion of --model, --vae, --sampler and --set with the names that the service has."""

from collections.abc import Callable

import typer

from sd_client.client import Client
from sd_client.errors import ClientError
from sd_client.parameters import RESERVED

TIMEOUT = 1.0
"""Seconds; after that there are no completions."""


def model_names(context: typer.Context, incomplete: str) -> list[str]:
    """The names of models that begin with `incomplete`."""
    return _completions(context, incomplete, lambda c: [model.name for model in c.models().models])


def vae_names(context: typer.Context, incomplete: str) -> list[str]:
    """The names of autoencoders that begin with `incomplete`."""
    return _completions(context, incomplete, lambda c: list(c.models().vaes))


def sampler_names(context: typer.Context, incomplete: str) -> list[str]:
    """The keys of samplers that begin with `incomplete`."""
    return _completions(
        context, incomplete, lambda c: [sampler.key for sampler in c.capabilities().samplers]
    )


def settable_names(context: typer.Context, incomplete: str) -> list[str]:
    """The parameters that begin with `incomplete`, each with the `=` of its value."""
    kind = "img2img" if context.info_name == "img2img" else "txt2img"

    def names(client: Client) -> list[str]:
        defaults = client.capabilities().defaults.values()
        found = {name for of_kinds in defaults for name in of_kinds.get(kind, {})}
        return [f"{name}=" for name in sorted(found - RESERVED.keys())]

    return _completions(context, incomplete, names)


def _completions(
    context: typer.Context, incomplete: str, names: Callable[[Client], list[str]]
) -> list[str]:
    typed = context.params or {}
    try:
        with Client(
            typed.get("address"), api_key=typed.get("key"), timeout=TIMEOUT, retries=0
        ) as client:
            return [name for name in names(client) if name.startswith(incomplete)]
    except ClientError:
        return []
