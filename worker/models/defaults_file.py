"""`NAME.toml` beside a model or a LoRA: what it wants for what a request leaves out."""

import tomllib
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema

from jobs.model_defaults import Defaults, ModelDefaults, Preset
from jobs.parameters.sampling import Scheduler
from jobs.parameters.types import Sampler, Scale, Side, Steps, Vae
from jobs.validation.validation_faults import faults_of, safe_value
from stable_diffusion.weights.small_files import read_text

PRESETS = "preset"
_LORA = r"^[^:<>\x00]{1,200}(:-?(10|\d(\.\d{1,4})?))?$"
_ABSENT: Any = None
"""TOML has no null, so no key may have it."""


# the "type" is what a message says is expected
Samplers = Annotated[
    list[Sampler],
    Field(min_length=1, max_length=40),
    WithJsonSchema({"type": "a list of samplers"}),
]
Loras = Annotated[
    list[Annotated[str, Field(pattern=_LORA)]],
    Field(min_length=1, max_length=8),
    WithJsonSchema({"type": 'a list of LoRAs, each "name" or "name:0.8"'}),
]


class LoraTable(BaseModel):
    """What the file of a LoRA may say; the bounds are those of a request's fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    steps: Steps = _ABSENT
    scale: Scale = _ABSENT
    sampler: Sampler = _ABSENT
    scheduler: Scheduler = _ABSENT
    max_steps: Steps = _ABSENT
    max_scale: Scale = _ABSENT
    samplers: Samplers = _ABSENT


class ModelTable(LoraTable):
    """What the file of a model may say, and each of its presets."""

    vae: Vae = _ABSENT
    width: Side = _ABSENT
    height: Side = _ABSENT
    loras: Loras = _ABSENT


class FaultyDefaults(Exception):
    """A file of defaults that cannot be used; the message names the file, the key and the bound."""


def read_defaults(path: Path, schema: type[LoraTable]) -> ModelDefaults:
    """The defaults in a file. Presets belong to models.

    Raises FaultyDefaults, or OSError if the file cannot be read.
    """
    try:
        content = tomllib.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise FaultyDefaults(f"{path.name} is no TOML file: {error}") from error
    presets = content.pop(PRESETS, {}) if issubclass(schema, ModelTable) else {}
    if not isinstance(presets, dict):
        raise FaultyDefaults(f"{path.name}: preset is no table: write [preset.fast]")
    own = _checked(path, schema, content, "")
    read: dict[Preset, Defaults] = {}
    for name in presets:
        known = next((preset for preset in get_args(Preset) if preset == name), None)
        if known is None or not isinstance(presets[name], dict):
            shown = safe_value("", name)
            raise FaultyDefaults(
                f"{path.name}: preset.{shown} is no table [preset.fast] or [preset.quality]"
            )
        read[known] = _checked(path, schema, presets[name], f"preset.{name}.")
    return ModelDefaults(**dict(own), presets=read or None)


def _checked(path: Path, schema: type[LoraTable], table: dict[str, Any], before: str) -> Defaults:
    try:
        return Defaults(**schema.model_validate(table).model_dump(exclude_none=True))
    except ValidationError as error:
        fault = faults_of(error, schema, table)[0]
        if fault.code == "unknown_field":
            expected = f"one of: {', '.join(schema.model_fields)}"
            raise FaultyDefaults(
                f"{path.name}: {before}{fault.field} is no known key; {expected}"
            ) from error
        raise FaultyDefaults(
            f"{path.name}: {before}{fault.field} {fault.problem}: {fault.value!r}; expected "
            f"{fault.expected}"
        ) from error
