"""The fields of POST /sdapi/v1/img2img."""

from typing import Annotated

from pydantic import Field as SchemaField

from api.dialects.a1111.fields import Field, Flag, schema_of
from api.dialects.a1111.fields_common import COMMON

_Choice = Annotated[int, SchemaField(ge=0, le=3)]
MASK_FILLS = ("fill", "original", "noise", "latent_nothing")
"""The native `mask_fill` of each number of `inpainting_fill`."""


def _area(full_resolution: bool) -> str:
    return "masked" if full_resolution else "whole"


PICTURE = (
    Field(
        name="init_images",
        type=list[str],
        default=[],
        followed=True,
        means="the picture to start from, as base64 or a data URL",
    ),
    Field(
        name="include_init_images",
        type=Flag,
        default=False,
        followed=True,
        means="the answer's `parameters` repeat the pictures",
    ),
    Field(
        name="resize_mode",
        type=_Choice,
        default=0,
        followed=True,
        means="how it is brought to size: 0 stretches, 1 crops, 2 fills the borders, 3 as 0",
    ),
    Field(
        name="denoising_strength",
        type=float,
        default=0.75,
        native="denoising_strength",
        means="how much of the picture is drawn anew",
    ),
    Field(
        name="initial_noise_multiplier",
        type=float,
        default=None,
        neutral=(1.0,),
        native="noise_multiplier",
        means="scales the noise added to the picture",
    ),
    Field(
        name="image_cfg_scale",
        type=float,
        default=None,
        neutral=(1.5,),
        native="image_scale",
        means="guidance by the picture, of InstructPix2Pix models",
    ),
)
MASK = (
    Field(
        name="mask",
        type=str,
        default="",
        native="mask",
        followed=True,
        means="what to draw anew, in white; as base64 or a data URL",
    ),
    Field(
        name="mask_blur",
        type=int,
        default=4,
        native="mask_blur",
        needs="mask",
        means="how soft its edge is, in pixels",
    ),
    Field(name="mask_blur_x", type=int, default=4, needs="mask", means="the same, across"),
    Field(name="mask_blur_y", type=int, default=4, needs="mask", means="the same, downwards"),
    Field(
        name="inpainting_fill",
        type=_Choice,
        default=0,
        native="mask_fill",
        convert=MASK_FILLS.__getitem__,
        needs="mask",
        means="what is under it at first: 0 fill, 1 original, 2 latent noise, 3 latent nothing",
    ),
    Field(
        name="inpaint_full_res",
        type=Flag,
        default=True,
        native="mask_area",
        convert=_area,
        needs="mask",
        means="draw only the masked part, at `width`×`height`; the picture keeps its own size",
    ),
    Field(
        name="inpaint_full_res_padding",
        type=int,
        default=0,
        native="mask_padding",
        needs="mask",
        means="pixels around that part",
    ),
    Field(
        name="inpainting_mask_invert",
        type=bool | int,
        default=0,
        native="mask_invert",
        convert=bool,
        needs="mask",
        means="draw what is not masked",
    ),
    Field(name="latent_mask", type=str, default="", means="a mask of latents"),
)
IMG2IMG_FIELDS = (*COMMON, *PICTURE, *MASK)
ImageToImageBody = schema_of("StableDiffusionProcessingImg2Img", IMG2IMG_FIELDS)
