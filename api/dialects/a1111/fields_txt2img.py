"""The fields of POST /sdapi/v1/txt2img."""

from api.dialects.a1111.fields import Field, Flag, schema_of
from api.dialects.a1111.fields_common import COMMON

_HIRES = "send a larger width and height instead"


def _hires(name: str, type_: type, default: object, means: str, *neutral: object) -> Field:
    return Field(
        name=name, type=type_, default=default, neutral=neutral, needs="enable_hr", means=means
    )


HIRES = (
    Field(
        name="enable_hr",
        type=Flag,
        default=False,
        means="hires fix: draw small, upscale, draw over",
        instead=_HIRES,
    ),
    _hires("hr_scale", float, 2.0, "factor of the second pass"),
    _hires("hr_upscaler", str, None, "upscaler of the second pass", "", "Latent"),
    _hires("hr_second_pass_steps", int, 0, "steps of the second pass"),
    _hires("hr_resize_x", int, 0, "width of the second pass"),
    _hires("hr_resize_y", int, 0, "height of the second pass"),
    _hires("hr_checkpoint_name", str, None, "model of the second pass", ""),
    _hires("hr_sampler_name", str, None, "sampler of the second pass", ""),
    _hires("hr_scheduler", str, None, "scheduler of the second pass", "", "automatic"),
    _hires("hr_prompt", str, "", "prompt of the second pass"),
    _hires("hr_negative_prompt", str, "", "negative prompt of the second pass"),
    _hires("denoising_strength", float, 0.75, "of the second pass", 0.0, 0.7),
    Field(
        name="firstphase_width",
        type=int,
        default=0,
        means="width of the first pass of hires fix",
        instead=_HIRES,
    ),
    Field(
        name="firstphase_height",
        type=int,
        default=0,
        means="height of the first pass of hires fix",
        instead=_HIRES,
    ),
)
TXT2IMG_FIELDS = (*COMMON, *HIRES)
TextToImageBody = schema_of("StableDiffusionProcessingTxt2Img", TXT2IMG_FIELDS)
