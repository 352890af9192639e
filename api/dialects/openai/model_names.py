"""Which installed model the `model` of a request means."""

import difflib
import re
from collections.abc import Sequence

from jobs.errors import Fault, InvalidRequest
from jobs.names import DEFAULT_MODEL, find_name, network_kind, without_suffix
from jobs.served import Served
from jobs.validation.model_choice import ModelChoice
from jobs.validation.validation_faults import safe_value

NOT_FOUND = "model_not_found"
_OF_OPENAI = re.compile(r"(dall-e|(chat)?gpt|o\d|sora)\b", re.IGNORECASE)
_HASH = re.compile(r"\s*\[[0-9a-fA-F]{6,64}\]\s*$")
_SIMILAR = 0.8
"""From this similarity on, a name is a misspelled one of an installed model."""


def choose_model(spelling: str, served: Served, default: str) -> ModelChoice:
    """The `ckpt` of a job, and a warning if it is not what the client has named.

    Args:
        spelling: as the client wrote it.
        served: the installed models.
        default: the name of the default model.

    Raises:
        InvalidRequest: code NOT_FOUND: it looks like a Stable Diffusion model, which is not
            installed. Another model there would be a surprise.
    """
    name = spelling.strip()
    if name.lower() in ("", DEFAULT_MODEL) or not served.models:
        return ModelChoice(name or DEFAULT_MODEL)
    if find_name(_HASH.sub("", name), served.models):
        return ModelChoice(name)
    alike = [model for model in served.models if model.lower() == name.lower()]
    if len(alike) == 1:
        return ModelChoice(alike[0])
    if _OF_OPENAI.match(name):
        whose = "is a model of OpenAI's"
    elif _looks_installed(name, served.models):
        raise InvalidRequest((_not_found(name, served, default),))
    else:
        whose = "is no model of this service"
    shown = safe_value("model", name)
    warning = f"model: {shown!r} {whose}; the default model {default} was used"
    return ModelChoice(DEFAULT_MODEL, (warning,))


def find_model(spelling: str, served: Served, default: str) -> str:
    """The installed model of an id. Raises InvalidRequest with the code NOT_FOUND."""
    if spelling.strip().lower() == DEFAULT_MODEL and default in served.models:
        return default
    if name := find_name(spelling, served.models):
        return name
    raise InvalidRequest((_not_found(spelling, served, default),))


def installed(served: Served, default: str) -> tuple[str, ...]:
    """The names of the installed models; the default first, which many clients select."""
    return tuple(sorted(served.models, key=lambda name: (name != default, name)))


def _looks_installed(name: str, models: Sequence[str]) -> bool:
    plain = _HASH.sub("", name)
    known = network_kind(plain) is not None or without_suffix(plain) != plain or plain != name
    return known or bool(difflib.get_close_matches(name, models, n=1, cutoff=_SIMILAR))


def _not_found(name: str, served: Served, default: str) -> Fault:
    return Fault(
        field="model",
        code=NOT_FOUND,
        value=safe_value("model", name),
        problem="is not installed",
        expected="one of: " + (", ".join(installed(served, default)) or "none is installed"),
    )
