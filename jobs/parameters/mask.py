"""The parameters of img2img that say which part of the init image is generated anew."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from jobs.limits import MAX_SIDE, SIDE_STEP
from jobs.parameters.types import WHOLE, MaskImage, whole

MaskFill = Literal["original", "fill", "noise", "latent_nothing"]
MaskArea = Literal["whole", "masked"]
EXTENDED_SIDES = ("left", "right", "top", "bottom")


def _extend(value: Any) -> Any:
    if not isinstance(value, dict) or not value or not value.keys() <= set(EXTENDED_SIDES):
        raise PydanticCustomError("type", "is no object with left, right, top and bottom")
    sides = {side: whole(pixels) for side, pixels in value.items()}
    for pixels in sides.values():
        if not isinstance(pixels, int) or isinstance(pixels, bool):
            raise PydanticCustomError("type", "has a side that is no integer")
        if not 0 <= pixels <= MAX_SIDE or pixels % SIDE_STEP:
            raise PydanticCustomError("range", "has a side that cannot be added")
    return sides


Extend = Annotated[
    dict[str, int],
    BeforeValidator(_extend),
    WithJsonSchema(
        {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": False,
            "properties": {
                side: {
                    "type": "integer",
                    "minimum": 0,
                    "maximum": MAX_SIDE,
                    "multipleOf": SIDE_STEP,
                }
                for side in EXTENDED_SIDES
            },
        }
    ),
]


class MaskParameters(BaseModel, frozen=True):
    """A mask is white where the picture is generated anew and black where it is kept.

    `mask` is base64 in a body; here it is a grey PNG, or empty if the request was read back from a
    record.
    """

    mask: Annotated[
        MaskImage | None,
        Field(
            repr=False,
            description="base64 of a picture: white is generated anew, black is kept, grey may "
            "change in part. Of one with transparency, what is opaque is generated anew",
        ),
    ] = None
    mask_invert: Annotated[bool, Field(description="generate anew what the mask keeps")] = False
    mask_from_alpha: Annotated[
        bool, Field(description="generate anew what is transparent in init_img")
    ] = False
    mask_blur: Annotated[
        float, Field(ge=0, le=64, description="softens the edge of the mask, in pixels")
    ] = 0.0
    mask_fill: Annotated[
        MaskFill,
        Field(
            description="what the masked part starts from: the picture itself, its blurred "
            "surroundings (fill), noise, or nothing"
        ),
    ] = "original"
    mask_area: Annotated[
        MaskArea,
        Field(
            description="masked: generate only the masked part, at W×H, and put it back into "
            "init_img, which keeps its size"
        ),
    ] = "whole"
    mask_padding: Annotated[
        int,
        Field(ge=0, le=2048, description="pixels around the masked part, with mask_area masked"),
        WHOLE,
    ] = 32
    extend: Annotated[
        Extend | None,
        Field(
            description="pixels to add on each side of the picture, generated anew: left, right, "
            "top, bottom, multiples of 8"
        ),
    ] = None
    image_scale: Annotated[
        float,
        Field(
            ge=0,
            le=100,
            description="how much the picture counts, for models that change it by an instruction",
        ),
    ] = 1.5

    @property
    def masked(self) -> bool:
        """Whether only a part of the picture is generated anew."""
        return self.mask is not None or self.mask_from_alpha or self.added != (0, 0, 0, 0)

    @property
    def only_masked(self) -> bool:
        """Whether only the masked part is generated, and the picture keeps its own size."""
        return self.masked and self.mask_area == "masked"

    @property
    def added(self) -> tuple[int, int, int, int]:
        """Pixels that `extend` adds: left, top, right, bottom."""
        extend = self.extend or {}
        left, top, right, bottom = (
            extend.get(side, 0) for side in ("left", "top", "right", "bottom")
        )
        return left, top, right, bottom

    def extended(self, width: int, height: int) -> tuple[int, int]:
        """Width and height with what `extend` adds to them."""
        left, top, right, bottom = self.added
        return width + left + right, height + top + bottom
