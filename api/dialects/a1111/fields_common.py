"""The fields that txt2img and img2img share, with AUTOMATIC1111's defaults."""

from typing import Annotated

from pydantic import Field as SchemaField

from api.dialects.a1111.fields import Field, Flag
from api.dialects.a1111.fields_answer import ANSWER, EXTENSIONS
from api.dialects.a1111.sampler_names import AUTOMATIC, DEFAULT_SAMPLER
from jobs.limits import MAX_OUTPUT_SIDE, MIN_SIDE, SIDE_STEP
from jobs.model_defaults import Preset

_Side = Annotated[int, SchemaField(ge=MIN_SIDE, le=MAX_OUTPUT_SIDE)]


def _step_side(side: int) -> int:
    """A side as latents have it."""
    return side // SIDE_STEP * SIDE_STEP


PROMPT = (
    Field(name="prompt", type=str, default="", native="prompt", means="what to draw"),
    Field(
        name="negative_prompt",
        type=str,
        default="",
        native="negative_prompt",
        means="what to avoid",
    ),
    Field(
        name="clip_skip",
        type=int,
        default=1,
        native="clip_skip",
        left_out=(1,),
        means="of SD.Next: the same as the option `CLIP_stop_at_last_layers`",
    ),
    Field(
        name="preset",
        type=Preset,
        default=None,
        followed=True,
        means="of this service: a preset of the model, for the fields that are left out; also an "
        "option",
    ),
    Field(
        name="styles",
        type=list[str],
        default=[],
        means="names of saved prompts",
        instead="write their words into the prompt",
    ),
)
SAMPLING = (
    Field(
        name="sampler_name",
        type=str,
        default="",
        followed=True,
        means="a sampler, also with its scheduler at the end (`DPM++ 2M Karras`)",
    ),
    Field(
        name="sampler_index",
        type=str,
        default=DEFAULT_SAMPLER,
        followed=True,
        means="the sampler of a request without `sampler_name`",
    ),
    Field(
        name="scheduler",
        type=str,
        default=AUTOMATIC,
        followed=True,
        means="the noise levels; `automatic`: those that AUTOMATIC1111 1.9 uses with the sampler",
    ),
    Field(name="steps", type=int, default=50, native="ddim_steps", means="sampling steps"),
    Field(name="cfg_scale", type=float, default=7.0, native="scale", means="guidance scale"),
    Field(
        name="eta",
        type=float,
        default=None,
        neutral=(1.0,),
        native="eta",
        means="how much noise the sampler adds; null: its own default",
    ),
    Field(
        name="s_churn",
        type=float,
        default=0.0,
        native="s_churn",
        left_out=(0.0,),
        means="extra noise of Euler, Heun and DPM2",
    ),
    Field(
        name="s_tmin",
        type=float,
        default=0.0,
        native="s_tmin",
        left_out=(0.0,),
        means="σ from which it is added",
    ),
    Field(
        name="s_tmax",
        type=float,
        default=0.0,
        native="s_tmax",
        left_out=(0.0,),
        means="σ up to which it is added; 0: no limit",
    ),
    Field(
        name="s_noise",
        type=float,
        default=1.0,
        native="s_noise",
        left_out=(1.0,),
        means="scale of that noise",
    ),
    Field(
        name="s_min_uncond",
        type=float,
        default=0.0,
        means="σ below which every second step skips the negative prompt",
    ),
)
SEEDS = (
    Field(
        name="seed", type=int, default=-1, native="seed", means="of the first picture; -1: random"
    ),
    Field(
        name="subseed",
        type=int,
        default=-1,
        native="variation_seed",
        left_out=(-1,),
        needs="subseed_strength",
        means="the seed of the variation; -1: random",
    ),
    Field(
        name="subseed_strength",
        type=float,
        default=0.0,
        native="variation_strength",
        left_out=(0.0,),
        means="how much of the variation's noise is mixed in",
    ),
    Field(
        name="seed_resize_from_h",
        type=int,
        default=-1,
        neutral=(0,),
        native="seed_resize_from_h",
        convert=_step_side,
        left_out=(-1, 0),
        means="height at which the seed is known",
    ),
    Field(
        name="seed_resize_from_w",
        type=int,
        default=-1,
        neutral=(0,),
        native="seed_resize_from_w",
        convert=_step_side,
        left_out=(-1, 0),
        means="width at which the seed is known",
    ),
)
SIZE = (
    Field(
        name="width",
        type=_Side,
        default=512,
        followed=True,
        means="width of the finished pictures; one of the model's defaults precedes 512",
    ),
    Field(
        name="height",
        type=_Side,
        default=512,
        followed=True,
        means="height of the finished pictures; one of the model's defaults precedes 512",
    ),
    Field(
        name="batch_size", type=int, default=1, native="n_samples", means="pictures in one batch"
    ),
    Field(name="n_iter", type=int, default=1, native="n_iter", means="batches"),
    Field(
        name="tiling",
        type=Flag,
        default=False,
        native="tiling",
        left_out=(False,),
        means="opposite edges fit together",
    ),
)
COMMON = (*PROMPT, *SAMPLING, *SEEDS, *SIZE, *ANSWER, *EXTENSIONS)
