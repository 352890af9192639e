"""The types of the request's fields, with their validators and JSON schemas."""

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError, PydanticKnownError

from jobs.limits import MAX_COUNT, MAX_SIDE, MIN_SIDE, SIDE_STEP, Limits
from jobs.names import CONFIGS, MAX_NAME, SAMPLERS, sampler_named
from jobs.pictures.init_image import read_transparent_image
from jobs.pictures.inputs import INPUT_ROLES, InputRole
from stable_diffusion.bounds import MAX_STEPS, MAX_STRENGTH, MIN_STEPS

MAX_PROMPT = 20_000
"""Characters of a prompt."""
MAX_SEED = 2**53 - 1
"""The largest of JSON's safe integers: any client can send and read them without loss."""

_SEGMENT = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_MAX_SEGMENTS = 8
# Surrogates cannot be encoded, and NUL ends a C string.
_NO_TEXT = re.compile("[\x00\ud800-\udfff]")
_URL = re.compile(r"^https?://[!-~]+$")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)


def _printable(text: str) -> str:
    if _NO_TEXT.search(text):
        raise PydanticCustomError("invalid_characters", "holds NUL or half a character")
    return text


def _folder(path: str) -> str:
    """A relative folder of plain names: no `..`, no absolute path, no URL."""
    if not path:
        return path
    _printable(path)
    if path.startswith("/"):
        raise PydanticCustomError("absolute_path", "is an absolute path")
    segments = path.removesuffix("/").split("/")
    if len(segments) > _MAX_SEGMENTS or any(len(segment) > 64 for segment in segments):
        raise PydanticCustomError("too_long", "has too many or too long folder names")
    if ".." in segments:
        raise PydanticCustomError("outside_output_root", "leaves the output folder")
    # A leading dot would hide the folder, and marks the folder of unfinished files.
    if not all(_SEGMENT.fullmatch(segment) and segment[0] != "." for segment in segments):
        raise PydanticCustomError("not_a_name", "has characters a folder name may not have")
    return "/".join(segments)


def _sampler(spelling: Any) -> str:
    sampler = sampler_named(spelling) if isinstance(spelling, str) else None
    if sampler is None:
        raise PydanticCustomError("enum", "is no sampler")
    return sampler.key


def _seed(value: Any) -> Any:
    value = whole(value)
    return None if value is False or (value == -1 and not isinstance(value, bool)) else value


def is_random(seed: Any) -> bool:
    """Whether the value of a seed in a body asks for a random one."""
    return _seed(seed) is None


def _written(text: str, info: ValidationInfo) -> str:
    """The length of what a client wrote; a record's prompt has the LoRAs of a preset as well."""
    if info.context and len(text) > MAX_PROMPT:
        raise PydanticKnownError("string_too_long", {"max_length": MAX_PROMPT})
    return _printable(text)


def _prompt_file(value: Any) -> Any:
    if value is None or value is False or value == "":
        return None
    if not isinstance(value, str):
        raise PydanticCustomError("type", "is neither a name nor false")
    if not _NAME.fullmatch(value):
        raise PydanticCustomError("not_a_name", "is not the name of a prompt file")
    return value


def _checkpoint(value: Any) -> Any:
    if isinstance(value, str) and 0 < len(value) <= MAX_NAME:
        return _printable(value)
    if (
        isinstance(value, dict)
        and 0 < len(value) <= 32
        and all(isinstance(file, str) and 0 < len(file) <= MAX_NAME for file in value.values())
        and all(len(name) <= MAX_NAME for name in value)
    ):
        return {_printable(name): _printable(file) for name, file in value.items()}
    raise PydanticCustomError("type", "is neither a model's name nor an object of them")


def whole(value: Any) -> Any:
    """A whole number as an integer, anything else as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _input(role: InputRole) -> Callable[[Any, ValidationInfo], Any]:
    def read(value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, str):
            return value
        limits = info.context["limits"] if info.context else Limits()
        # only there can its transparency say more than that white is behind it
        has_mask = role == "init" and info.data.get("mask_from_alpha")
        read_image = read_transparent_image if has_mask else INPUT_ROLES[role].read
        return read_image(value, limits.max_init_pixels)

    return read


def _url(text: str) -> str:
    if not _URL.fullmatch(text):
        raise PydanticCustomError("not_a_url", "is no URL of http or https")
    return text


def _config(value: Any) -> Any:
    if value is None:
        return None
    if not isinstance(value, str) or value not in CONFIGS:
        raise PydanticCustomError("unknown_config", "is no known configuration")
    return value


# The validators above, as far as a JSON schema can express them.
_TEXT_PATTERN = r"^[^\x00]*$"
_FOLDER_NAME = r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}"
_FOLDER_PATTERN = rf"^({_FOLDER_NAME}(/{_FOLDER_NAME}){{0,{_MAX_SEGMENTS - 1}}}/?)?$"
_MODEL_NAME = {"type": "string", "minLength": 1, "maxLength": MAX_NAME, "pattern": _TEXT_PATTERN}

Text = Annotated[
    str,
    Field(json_schema_extra={"maxLength": MAX_PROMPT, "pattern": _TEXT_PATTERN}),
    AfterValidator(_written),
]
Folder = Annotated[
    str,
    Field(max_length=600, json_schema_extra={"pattern": _FOLDER_PATTERN}),
    AfterValidator(_folder),
]
# JSON knows one sort of number: 20.0 is the integer 20, as JSON Schema has it.
WHOLE = BeforeValidator(whole)

Side = Annotated[int, Field(ge=MIN_SIDE, le=MAX_SIDE, multiple_of=SIDE_STEP), WHOLE]
Steps = Annotated[int, Field(ge=MIN_STEPS, le=MAX_STEPS), WHOLE]
Count = Annotated[int, Field(ge=1, le=MAX_COUNT), WHOLE]
CountOrZero = Annotated[int, Field(ge=0, le=MAX_COUNT), WHOLE]
Scale = Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]
Strength = Annotated[float, Field(gt=0, le=MAX_STRENGTH)]
Sampler = Annotated[
    str,
    BeforeValidator(_sampler),
    WithJsonSchema(
        {
            "type": "string",
            "enum": [
                spelling
                for sampler in SAMPLERS
                for spelling in (sampler.key, *sampler.aliases, sampler.label)
            ],
        }
    ),
]
Seed = Annotated[
    Annotated[int, Field(ge=0, le=MAX_SEED)] | None,
    BeforeValidator(_seed),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": MAX_SEED},
                {"type": "null"},
                {"const": False},
                {"const": -1},
            ]
        }
    ),
]
PromptFile = Annotated[
    str | None,
    BeforeValidator(_prompt_file),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": f"^({_NAME.pattern})?$"},
                {"const": False},
                {"type": "null"},
            ]
        }
    ),
]
Checkpoint = Annotated[
    str | dict[str, str],
    BeforeValidator(_checkpoint),
    WithJsonSchema(
        {
            "anyOf": [
                _MODEL_NAME,
                {
                    "type": "object",
                    "minProperties": 1,
                    "maxProperties": 32,
                    "propertyNames": {"pattern": _TEXT_PATTERN, "maxLength": MAX_NAME},
                    "additionalProperties": _MODEL_NAME,
                },
            ]
        }
    ),
]
Config = Annotated[
    str | None,
    BeforeValidator(_config),
    WithJsonSchema({"anyOf": [{"type": "string", "enum": [*CONFIGS]}, {"type": "null"}]}),
]
Vae = Annotated[
    str,
    Field(min_length=1, max_length=MAX_NAME, json_schema_extra={"pattern": _TEXT_PATTERN}),
    AfterValidator(_printable),
]
Batch = Annotated[int, Field(ge=1, le=128), WHOLE]
Device = Annotated[str, Field(pattern=r"^(cpu|cuda(:([0-9]|1[0-5]))?)$")]
InitImage = Annotated[
    bytes,
    BeforeValidator(_input("init")),
    WithJsonSchema({"type": "string", "contentEncoding": "base64", "minLength": 1}),
]
MaskImage = Annotated[
    bytes,
    BeforeValidator(_input("mask")),
    WithJsonSchema({"type": "string", "contentEncoding": "base64", "minLength": 1}),
]
Webhook = Annotated[
    str,
    Field(max_length=2000, json_schema_extra={"format": "uri", "pattern": _URL.pattern}),
    AfterValidator(_url),
]
Precision = Literal["mixed", "full", "autocast"]
