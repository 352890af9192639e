"""Faults of the service's fields → faults of the fields that the client has sent."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from api.dialects.openai.request_models import NATIVE_NAMES, OPTIONS, WITHOUT_NAME
from jobs.errors import Fault
from jobs.names import JobKind
from jobs.validation.validation_faults import OtherSchema

_OWN_API = "the service's own API"
_IN_TEXT = {
    "n_iter": "n",
    "ddim_steps": "steps",
    "H": "height",
    "W": "width",
    "ckpt": "model",
    "denoising_strength": "strength",
}
_WORDS = re.compile(rf"\b({'|'.join(_IN_TEXT)})\b")
_PHRASES = {
    "W and H, in pixels": "size, such as 768x512",
    "a field of the template": "a field that GET /openapi/openai.json names",
}


def in_this_dialect(faults: Iterable[Fault], names: Mapping[str, str]) -> tuple[Fault, ...]:
    """The same faults, one a field, by the names of this dialect.

    Args:
        faults: of a request by the field names of `jobs.parameters.schemas`.
        names: field → the field in which the client has sent it.
    """
    found: dict[str, Fault] = {}
    for fault in faults:
        field = names.get(fault.field, fault.field)
        renamed = replace(
            fault, field=field, problem=_text(fault.problem), expected=_text(fault.expected)
        )
        found.setdefault(field, renamed)
    return tuple(found.values())


def suggestion(expected: str) -> str:
    """What an unknown field may stand for, with the names of this dialect."""
    return _PHRASES.get(expected, expected)


def other_fields(kind: JobKind) -> dict[str, OtherSchema]:
    """The fields that a body of this kind lacks: those of the other route, and the service's."""
    found = dict.fromkeys(WITHOUT_NAME, OtherSchema(_OWN_API, "a POST to /generate or /img2img"))
    edits = OtherSchema("edits", "a POST to /v1/images/edits")
    found |= dict.fromkeys((*OPTIONS["img2img"].model_fields, "image", "images", "mask"), edits)
    own = OPTIONS[kind].model_fields
    renamed = {
        native: OtherSchema(_OWN_API, name, here=name if name in own else "")
        for native, name in NATIVE_NAMES.items()
    }
    return {name: other for name, other in (found | renamed).items() if name not in own}


def _text(text: str) -> str:
    return _WORDS.sub(lambda word: _IN_TEXT[word[1]], text)
