"""Which installed model a request means."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import NoReturn

from jobs.errors import Fault, InvalidRequest
from jobs.faults import safe_value
from jobs.names import DEFAULT_MODEL, model_named


@dataclass(frozen=True)
class ModelChoice:
    """The model a job will use, and what to tell the client about the choice."""

    name: str
    warnings: tuple[str, ...] = ()


def choose_model(
    ckpt: str | dict[str, str], *, default: str, installed: Collection[str]
) -> ModelChoice:
    """Resolve `ckpt` in each of its documented forms to an installed model.

    Args:
        ckpt: a spelling of a name, `default`, or the template's object: names with the files they
            are expected in, of which the first installed one is taken, else the default.
        default: what `default` stands for.
        installed: the models that workers serve. Empty when no worker has told yet; then any name
            that is no path is let through, for the worker to judge.

    Raises:
        InvalidRequest: code unknown_model, listing the installed ones.
    """
    if isinstance(ckpt, str):
        name = _installed_name(ckpt, default, installed)
        return ModelChoice(name) if name else _refuse(ckpt, installed)
    if any("/" in text or "\\" in text for entry in ckpt.items() for text in entry):
        _refuse(ckpt, installed)
    for name, file in ckpt.items():
        for spelling in (name, file):
            if model_named(spelling) in installed:
                return ModelChoice(model_named(spelling))
    wanted = ", ".join(ckpt)
    return ModelChoice(
        default, (f"ckpt: none of {wanted} is installed; the default model {default} was used",)
    )


def _installed_name(spelling: str, default: str, installed: Collection[str]) -> str | None:
    name = model_named(spelling)
    if name == DEFAULT_MODEL:
        return default
    if name in installed:
        return name
    is_path = "/" in name or "\\" in name or name.startswith(".")
    return name if not installed and not is_path else None


def _refuse(ckpt: str | dict[str, str], installed: Collection[str]) -> NoReturn:
    raise InvalidRequest(
        (
            Fault(
                field="ckpt",
                code="unknown_model",
                value=safe_value("ckpt", ckpt),
                problem="is no installed model",
                expected="one of: " + ", ".join([DEFAULT_MODEL, *sorted(installed)]),
            ),
        )
    )
