"""The parameter that hands a sampling over to a second model for its last part."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from jobs.names import MAX_NAME

DEFAULT_SWITCH_AT = 0.8
_CKPT, _SWITCH_AT = "ckpt", "switch_at"


def _refiner(value: Any) -> Any:
    if not isinstance(value, dict) or not {_CKPT} <= value.keys() <= {_CKPT, _SWITCH_AT}:
        raise PydanticCustomError("type", "is no object with ckpt")
    name, share = value[_CKPT], value.get(_SWITCH_AT, DEFAULT_SWITCH_AT)
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME or "\x00" in name:
        raise PydanticCustomError("type", "has a ckpt that is no model's name")
    if not isinstance(share, int | float) or isinstance(share, bool):
        raise PydanticCustomError("type", "has a switch_at that is no number")
    if not 0 <= share < 1:
        raise PydanticCustomError("range", "has a switch_at out of bounds")
    return {_CKPT: name, _SWITCH_AT: float(share)}


Refiner = Annotated[
    dict[str, str | float],
    BeforeValidator(_refiner),
    WithJsonSchema(
        {
            "type": "object",
            "required": [_CKPT],
            "additionalProperties": False,
            "properties": {
                _CKPT: {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": MAX_NAME,
                    "pattern": r"^[^\x00]*$",
                },
                _SWITCH_AT: {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
            },
        }
    ),
]


class RefinerParameters(BaseModel, frozen=True):
    """See `stable_diffusion.guided_network.refinement`."""

    refiner: Annotated[
        Refiner | None,
        Field(
            description='an object such as {"ckpt": "sdxl-refiner", "switch_at": 0.8}: a second '
            "model that goes on with the sampling after that share of the noise levels; null: none"
        ),
    ] = None

    @property
    def refiner_ckpt(self) -> str | None:
        """The name of the second model."""
        return None if self.refiner is None else str(self.refiner[_CKPT])

    @property
    def refiner_switch_at(self) -> float | None:
        """The share of the noise levels after which it goes on, 0 up to but without 1."""
        return None if self.refiner is None else float(self.refiner[_SWITCH_AT])


def named_refiner(
    refiner: dict[str, str | float] | None, names: Mapping[str, str]
) -> dict[str, str | float] | None:
    """A refiner whose model has the name that `names` has for it, if it has one."""
    return refiner and {**refiner, _CKPT: names.get(str(refiner[_CKPT]), refiner[_CKPT])}
