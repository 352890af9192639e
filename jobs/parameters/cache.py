"""The parameter that saves evaluations of most of the network's layers."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from jobs.parameters.types import whole
from stable_diffusion.bounds import MAX_CACHE_INTERVAL

MIN_CACHE_INTERVAL = 2
_INTERVAL = "interval"


def _cache(value: Any) -> Any:
    if not isinstance(value, dict) or value.keys() != {_INTERVAL}:
        raise PydanticCustomError("type", "is no object with interval")
    interval = whole(value[_INTERVAL])
    if not isinstance(interval, int) or isinstance(interval, bool):
        raise PydanticCustomError("type", "has an interval that is no integer")
    if not MIN_CACHE_INTERVAL <= interval <= MAX_CACHE_INTERVAL:
        raise PydanticCustomError("range", "has an interval out of bounds")
    return {_INTERVAL: interval}


Cache = Annotated[
    dict[str, int],
    BeforeValidator(_cache),
    WithJsonSchema(
        {
            "type": "object",
            "required": [_INTERVAL],
            "additionalProperties": False,
            "properties": {
                _INTERVAL: {
                    "type": "integer",
                    "minimum": MIN_CACHE_INTERVAL,
                    "maximum": MAX_CACHE_INTERVAL,
                }
            },
        }
    ),
]


class CacheParameters(BaseModel, frozen=True):
    """See `stable_diffusion.deep_cache`."""

    cache: Annotated[
        Cache | None,
        Field(
            description='an object such as {"interval": 3}: the deep layers of the network are '
            "computed in every third evaluation only, which is faster and less exact; null: in each"
        ),
    ] = None

    @property
    def cache_interval(self) -> int:
        """Evaluations that use one computation of the deep layers; 1: each has its own."""
        return self.cache[_INTERVAL] if self.cache else 1
