"""Installed models under AUTOMATIC1111's names for them: `sd15 [6ce0161689]`."""

from dataclasses import replace

from api.job_service import JobService
from jobs.errors import InvalidRequest
from jobs.served import Served
from jobs.validation.model_choice import InstalledModels

_SHORTEST_HASH = 8


def title_of(name: str, served: Served) -> str:
    """The title of a model: its name and, if it is known, the start of its SHA-256."""
    digits = served.hashes.get(name, "")
    return f"{name} [{digits}]" if digits else name


def usable_models(served: Served) -> tuple[str, ...]:
    """The installed models of which no worker knows why they cannot be used."""
    broken = {facts.name for facts in served.model_facts if facts.problem}
    return tuple(name for name in served.models if name not in broken)


def checkpoint_named(spelling: str, jobs: JobService, served: Served, *, field: str) -> str:
    """The installed model that a checkpoint's title, name, file name or hash means.

    Args:
        spelling: as a client wrote it; empty: the service's default model.
        jobs: knows the default model.
        served: the installed models.
        field: the name under which the client sent it, for errors.

    Raises:
        InvalidRequest: no model of this name is installed, or one with another hash.
    """
    models = InstalledModels.of(served, jobs.default_model)
    digits = spelling.strip()
    if len(digits) >= _SHORTEST_HASH and (named := served.model_with_hash(digits)):
        return named
    try:
        return models.choose(spelling or "default").name
    except InvalidRequest as error:
        raise InvalidRequest(tuple(replace(fault, field=field) for fault in error.faults)) from None
