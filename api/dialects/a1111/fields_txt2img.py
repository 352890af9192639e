"""The fields of POST /sdapi/v1/txt2img."""

from typing import Annotated, Any

from pydantic import Field as SchemaField

from api.dialects.a1111.fields import Field, Flag, schema_of
from api.dialects.a1111.fields_common import COMMON
from jobs.limits import MAX_OUTPUT_SIDE

_SideOrNone = Annotated[int, SchemaField(ge=0, le=MAX_OUTPUT_SIDE)]
"""0: none was chosen."""


def _hires(
    name: str, type_: Any, default: object, means: str, native: str = "", *neutral: object
) -> Field:
    return Field(
        name=name,
        type=type_,
        default=default,
        neutral=neutral,
        native=native,
        followed=bool(native),
        needs="enable_hr",
        means=means,
    )


def _first_phase(side: str) -> Field:
    return Field(
        name=f"firstphase_{side}",
        type=_SideOrNone,
        default=0,
        followed=True,
        needs="enable_hr",
        means=f"{side} of the first pass; `{side}` is then that of the second",
    )


HIRES = (
    Field(
        name="enable_hr",
        type=Flag,
        default=False,
        followed=True,
        means="hires fix: draw small, upscale, draw over",
    ),
    _hires("hr_scale", float, 2.0, "factor of the second pass", "hires_scale"),
    _hires(
        "hr_upscaler",
        str,
        None,
        "upscaler before the second pass; null: Latent",
        "hires_upscaler",
        "",
        "Latent",
    ),
    _hires("hr_second_pass_steps", int, 0, "steps of the second pass; 0: as many", "hires_steps"),
    _hires(
        "hr_resize_x",
        _SideOrNone,
        0,
        "width of the second pass, in place of a factor",
        "hires_width",
    ),
    _hires("hr_resize_y", _SideOrNone, 0, "height of the second pass", "hires_height"),
    _hires("hr_checkpoint_name", str, None, "model of the second pass", "", ""),
    _hires("hr_sampler_name", str, None, "sampler of the second pass", "hires_sampler", ""),
    _hires(
        "hr_scheduler",
        str,
        None,
        "scheduler of the second pass",
        "hires_scheduler",
        "",
        "automatic",
    ),
    Field(
        name="hr_prompt",
        type=str,
        default="",
        native="hires_prompt",
        needs="enable_hr",
        means="prompt of the second pass",
    ),
    Field(
        name="hr_negative_prompt",
        type=str,
        default="",
        native="hires_negative_prompt",
        needs="enable_hr",
        means="negative prompt of the second pass",
    ),
    Field(
        name="denoising_strength",
        type=float,
        default=0.75,
        neutral=(0.0, 0.7),
        native="hires_strength",
        needs="enable_hr",
        means="how much the second pass draws anew",
    ),
    _first_phase("width"),
    _first_phase("height"),
)
TXT2IMG_FIELDS = (*COMMON, *HIRES)
TextToImageBody = schema_of("StableDiffusionProcessingTxt2Img", TXT2IMG_FIELDS)
