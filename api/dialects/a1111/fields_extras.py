"""The fields of POST /sdapi/v1/extra-single-image and /extra-batch-images."""

from typing import Annotated

from pydantic import BaseModel, Strict
from pydantic import Field as SchemaField

from api.dialects.a1111.fields import Field, Flag, schema_of
from jobs.limits import MAX_OUTPUT_SIDE

_Share = Annotated[float, SchemaField(ge=0, le=1)]
_Side = Annotated[int, SchemaField(ge=1, le=MAX_OUTPUT_SIDE)]
_NO_FACES = "there is no face restoration here"
NO_UPSCALER = "None"


class NamedPicture(BaseModel):
    """One picture of a batch."""

    data: str = SchemaField(description="base64 or a data URL")
    name: str = SchemaField(description="of its file")


def _faces(name: str, needs: str = "") -> Field:
    return Field(
        name=name, type=_Share, default=0.0, needs=needs, means="repair faces", instead=_NO_FACES
    )


EXTRAS_FIELDS = (
    Field(
        name="resize_mode",
        type=Annotated[int, SchemaField(ge=0, le=1)],
        default=0,
        followed=True,
        means="0: larger by `upscaling_resize`; 1: as large as `upscaling_resize_w` and `_h`",
    ),
    Field(
        name="upscaling_resize",
        type=Annotated[float, SchemaField(gt=0, le=64)],
        default=2.0,
        followed=True,
        means="factor of both sides",
    ),
    Field(name="upscaling_resize_w", type=_Side, default=512, followed=True, means="width"),
    Field(name="upscaling_resize_h", type=_Side, default=512, followed=True, means="height"),
    Field(
        name="upscaling_crop",
        type=Flag,
        default=True,
        followed=True,
        means="with `resize_mode` 1: crop to exactly that size",
    ),
    Field(
        name="upscaler_1",
        type=str,
        default=NO_UPSCALER,
        followed=True,
        means="`None` leaves the size as it is; `Lanczos`, `Nearest`, or the installed upscaler",
    ),
    Field(
        name="upscaler_2",
        type=str,
        default=NO_UPSCALER,
        neutral=("",),
        means="a second upscaler, mixed in",
        instead="only upscaler_1 is used",
    ),
    Field(
        name="extras_upscaler_2_visibility",
        type=_Share,
        default=0.0,
        needs="upscaler_2",
        means="how much of it",
        instead="only upscaler_1 is used",
    ),
    _faces("gfpgan_visibility"),
    _faces("codeformer_visibility"),
    _faces("codeformer_weight", "codeformer_visibility"),
    Field(
        name="upscale_first",
        type=Flag,
        default=False,
        means="upscale before faces are repaired",
        instead=_NO_FACES,
    ),
    Field(
        name="show_extras_results",
        type=Flag,
        default=True,
        followed=True,
        means="answer with the picture",
    ),
)
SINGLE_FIELDS = (
    *EXTRAS_FIELDS,
    Field(
        name="image",
        type=str,
        default="",
        followed=True,
        means="the picture, as base64 or a data URL",
    ),
)
BATCH_FIELDS = (
    *EXTRAS_FIELDS,
    Field(
        name="imageList",
        type=list[Annotated[NamedPicture, Strict(False)]],
        default=[],
        followed=True,
        means="the pictures",
    ),
)
SingleImageBody = schema_of("ExtrasSingleImageRequest", SINGLE_FIELDS)
BatchImagesBody = schema_of("ExtrasBatchImagesRequest", BATCH_FIELDS)
