"""The parameter that makes a job compare: `vary`, one or two fields with a list of values each."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, Field, JsonValue, PrivateAttr, WithJsonSchema
from pydantic_core import PydanticCustomError

from jobs.parameters.hires import HIRES_OPTIONS, HIRES_SIZE

MAX_VALUES = 64
COMBINATIONS = "combinations"
"""The key under which a stored request has what its combinations differ in beside `vary`."""
VARIABLE = (
    *("ckpt", "preset", "W", "H"),
    *("prompt", "negative_prompt", "prompt_grammar", "clip_skip", "seed", "vae", "precision"),
    *("ddim_steps", "sampler", "scheduler", "scale", "ddim_eta", "eta"),
    *("s_churn", "s_tmin", "s_tmax", "s_noise", "tiling"),
    *("guidance_rescale", "guidance_start", "guidance_end"),
    *("variation_seed", "variation_strength", "seed_resize_from_h", "seed_resize_from_w"),
    *("denoising_strength", "noise_multiplier", "mask_fill", "image_scale"),
    *("cache", "refiner", *HIRES_SIZE, *HIRES_OPTIONS),
)
"""Fields that change the picture."""
EXPECTED = (
    'an object such as {"sampler": ["ddim", "k_euler"], "scale": [4, 7.5]}: one or two fields, '
    f"each with a list of 1 to {MAX_VALUES} values; of " + ", ".join(VARIABLE)
)
_VALUES = {"type": "array", "minItems": 1, "maxItems": MAX_VALUES}


def _vary(value: Any) -> Any:
    """The form of the object; each value is checked by the schema of its field."""
    if value is None:
        return None
    if not isinstance(value, dict) or not 1 <= len(value) <= 2:
        raise PydanticCustomError("type", "is not an object of one or two fields")
    for name, values in value.items():
        if name not in VARIABLE:
            similar = difflib.get_close_matches(name[:64], VARIABLE, n=1)
            meant = f"; did you mean {similar[0]}?" if similar else ""
            problem = "names {name}, which cannot vary{meant}"
            shown = name[:64].encode("utf-8", "replace").decode()
            context = {"name": shown, "meant": meant}
            raise PydanticCustomError("cannot_vary", problem, context)
        if not isinstance(values, list) or not 1 <= len(values) <= MAX_VALUES:
            problem = "has no list of 1 to {most} values for {name}"
            raise PydanticCustomError("type", problem, {"name": name, "most": MAX_VALUES})
    return value


class ComparisonParameters(BaseModel, frozen=True):
    """What a job compares."""

    vary: Annotated[
        dict[str, list[JsonValue]] | None,
        BeforeValidator(_vary),
        WithJsonSchema(
            {
                "type": "object",
                "minProperties": 1,
                "maxProperties": 2,
                "additionalProperties": False,
                "properties": {},
            }
        ),
        Field(
            description="one or two fields, each with a list of values: pictures of all "
            "combinations and a labelled grid, the first field from left to right"
        ),
    ] = None

    _differing: tuple[Mapping[str, Any], ...] = PrivateAttr(default=())

    def with_differing(self, values: Sequence[Mapping[str, Any]]) -> Self:
        """The same comparison with further values for each of its combinations, by attribute."""
        request = self.model_copy()
        differing = tuple(values) if any(values) else ()
        request._differing = differing  # pyright: ignore[reportAttributeAccessIssue]
        return request

    @property
    def stored_differing(self) -> dict[str, list[dict[str, Any]]]:
        """These values as the record keeps them; empty if there are none."""
        return {COMBINATIONS: [*map(dict, self._differing)]} if self._differing else {}

    def combinations(self) -> tuple[Self, ...]:
        """The request for each combination of `vary`, row by row; without it this one alone."""
        if self.vary is None:
            return (self,)
        (across, columns), *other = self.vary.items()
        if not other:
            choices = [{across: value} for value in columns]
        else:
            (down, rows) = other[0]
            choices = [{across: value, down: row} for row in rows for value in columns]
        differing = self._differing or ({},) * len(choices)
        return tuple(
            self.model_copy(update={"vary": None, **choice, **values})
            for choice, values in zip(choices, differing, strict=True)
        )


def with_values(schema: dict[str, Any]) -> None:
    """Describe in a request's JSON schema which fields its `vary` takes, and which values."""
    properties = schema["properties"]
    schema["properties"]["vary"]["properties"] = {
        name: _VALUES | {"items": _given(properties[name])}
        for name in VARIABLE
        if name in properties
    }


def _given(schema: dict[str, Any]) -> dict[str, Any]:
    """Of a seed only the numbers: one that is drawn could not be compared with another."""
    if {"const": -1} in schema.get("anyOf", ()):
        return schema["anyOf"][0]
    return {name: value for name, value in schema.items() if name not in ("default", "title")}
