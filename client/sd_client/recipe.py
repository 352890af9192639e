"""The recipe that a picture carries, as a frozen value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from sd_client.errors import UnexpectedAnswer
from sd_client.status import Json


@dataclass(frozen=True)
class NotRead:
    """A part of a recipe that no parameter says: its name and value in the picture, and why."""

    name: str
    value: str
    why: str


@dataclass(frozen=True)
class Recipe:
    """What a picture was made of.

    Attributes:
        source: service, automatic1111, invokeai, comfyui, or unknown: there is no recipe.
        text: the infotext; empty if the picture has none.
        kind: txt2img or img2img.
        request: parameters by the service's names, for `generate` or `img2img`.
        not_read: what the request lacks of the recipe.
        size: width and height of the picture in pixels.
        raw: the whole answer.
    """

    source: str
    text: str
    kind: str
    request: Mapping[str, Any]
    not_read: tuple[NotRead, ...]
    size: tuple[int, int]
    raw: Json = field(repr=False, compare=False)

    @classmethod
    def read(cls, answer: Json) -> Self:
        """From the answer of /png-info. Raises UnexpectedAnswer."""
        try:
            return cls(
                source=answer["source"],
                text=answer["text"],
                kind=answer["kind"],
                request=answer["request"],
                not_read=tuple(
                    NotRead(part["name"], part["value"], part["why"]) for part in answer["not_read"]
                ),
                size=(answer["size"][0], answer["size"][1]),
                raw=answer,
            )
        except (KeyError, IndexError, TypeError) as error:
            raise UnexpectedAnswer(f"the answer to /png-info lacks {error}") from error
