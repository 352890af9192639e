"""The settings of an infotext: what is written into a picture about it, and read from one.

A row is one setting, in the order in which they are written. The names are those of AUTOMATIC1111
1.10 (`create_infotext` in modules/processing.py). Of those that it has none for, "CFG Rescale φ" is
that of the extension for it; no other tool writes "Extend …", "Guidance start", "Guidance end",
"Cache interval", "Hires total steps", "Prompt grammar" and "Zero negative".
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import ceil
from typing import Any

from jobs.infotext.setting import Setting, json_of
from jobs.names import AUTOMATIC, SAMPLERS, SCHEDULERS, sampler_named, scheduler_named
from jobs.parameters.mask import EXTENDED_SIDES
from jobs.parameters.types import MAX_STEPS
from jobs.upscalers import NETWORK
from jobs.validation.cached_passes import why_nothing_is_cached
from jobs.validation.hires_rules import second_pass_steps
from jobs.validation.request import Request

STRENGTH = "Denoising strength"
_KARRAS = " Karras"
_STEPS = range(1, MAX_STEPS + 1)
_SAMPLERS = {row.key: row for row in SAMPLERS}
_SCHEDULERS = {row.key: row.label for row in SCHEDULERS}
_MASK_MODE = {False: "Inpaint masked", True: "Inpaint not masked"}
_MASK_AREA = {"whole": "Whole picture", "masked": "Only masked"}
_MASK_FILL = {
    "original": "original",
    "fill": "fill",
    "noise": "latent noise",
    "latent_nothing": "latent nothing",
}
_UPSCALERS = {
    "latent": "Latent",
    "latent_antialiased": "Latent (antialiased)",
    "latent_bicubic": "Latent (bicubic)",
    "latent_bicubic_antialiased": "Latent (bicubic antialiased)",
    "latent_nearest": "Latent (nearest)",
    "latent_nearest_exact": "Latent (nearest-exact)",
    "lanczos": "Lanczos",
    "nearest": "Nearest",
}
_ENLARGING = {name: key for key, name in _UPSCALERS.items()} | {"None": "lanczos"}


def _if(when: Callable[[Any], Any], *settings: Setting) -> tuple[Setting, ...]:
    """Settings that have an effect on these conditions only, unless they have one of their own."""
    return tuple(replace(each, when=each.when or when) for each in settings)


def _takes(request: Request) -> frozenset[str]:
    """The parameters that the request's sampler takes."""
    return _SAMPLERS[request.sampler].takes


def _schedule_type(request: Request) -> str:
    if request.scheduler != AUTOMATIC:
        return _SCHEDULERS[request.scheduler]
    return "Karras" if _SAMPLERS[request.sampler].label.endswith(_KARRAS) else "Automatic"


def _hires_schedule_type(request: Any) -> str | None:
    """That of the second pass, where it is asked for or differs from that of the first."""
    sampler, scheduler = request.hires_sampler, request.hires_scheduler
    again = {"sampler": sampler or request.sampler, "scheduler": scheduler or request.scheduler}
    own = _schedule_type(request.model_copy(update=again))
    return own if scheduler or own != _schedule_type(request) else None


def _sampler_label(key: str | None) -> str | None:
    """Without the schedule, which has a setting of its own."""
    return _SAMPLERS[key].label.removesuffix(_KARRAS) if key else None


def _key_of(named: Callable[[str], Any]) -> Callable[[str, Mapping[str, str]], str]:
    return lambda text, _: row.key if (row := named(text)) else text


def _hires_steps(text: str, settings: Mapping[str, str]) -> Any:
    """Executed steps → the steps of which the strength executes as many; None: the first pass'."""
    executed, share = json_of(text), json_of(settings.get(STRENGTH, ""))
    # other programs may have written any number, which is refused as it is
    if executed not in _STEPS or not isinstance(share, int | float) or not 0 < share <= 1:
        return executed
    first = json_of(settings.get("Steps", ""))
    if first in _STEPS and max(1, int(share * first)) == executed:
        return None
    return ceil(min(executed / share, MAX_STEPS + 1) - 1e-9)  # a share may be as small as 1e-320


def _further_hires_steps(request: Any) -> int | None:
    """The steps of the second pass, where those that are executed are read as others."""
    settings = {"Steps": str(request.ddim_steps), STRENGTH: str(request.hires_strength)}
    read = _hires_steps(str(second_pass_steps(request)), settings) or request.ddim_steps
    steps = request.hires_steps or request.ddim_steps
    return None if read == steps else steps


def _resized_from(request: Request) -> str | None:
    width, height = request.seed_resize_from_w, request.seed_resize_from_h
    return f"{width or request.W}x{height or request.H}" if width or height else None


SETTINGS = (
    Setting("Steps", "ddim_steps", always=True),
    Setting("Sampler", write=lambda request: _sampler_label(request.sampler)),
    Setting("Schedule type", write=_schedule_type),
    Setting("CFG scale", "scale", always=True),
    Setting("Image CFG scale", "image_scale"),
    Setting("Seed", "seed", always=True),
    Setting("Size", "W", "H", always=True),
    Setting("Model hash"),
    Setting("Model"),
    Setting("VAE"),
    Setting(STRENGTH, "denoising_strength", always=True),
    Setting("Init image upscaler", "upscale", own=True, read=lambda *_: True),
    Setting("Noise multiplier", "noise_multiplier"),
    # as in the "Extras" tab; Size stays the size before upscaling
    Setting("Postprocess upscale by", "post_upscale", own=True, choices={True: "2"}),
    *_if(
        lambda request: request.masked,
        Setting("Mask blur", "mask_blur", always=True),
        Setting("Mask mode", "mask_invert", choices=_MASK_MODE),
        Setting("Inpaint area", "mask_area", choices=_MASK_AREA),
        Setting(
            "Masked area padding",
            "mask_padding",
            always=True,
            when=lambda request: request.only_masked,
        ),
        Setting("Masked content", "mask_fill", choices=_MASK_FILL),
        Setting("Extend", "extend", keys=EXTENDED_SIDES),
    ),
    *_if(
        lambda request: request.has_second_pass,
        Setting(STRENGTH, "hires_strength", always=True),
        Setting("Hires upscale", "hires_scale"),
        Setting(
            "Hires resize",
            "hires_width",
            "hires_height",
            write=lambda request: (
                None if request.hires_scale else "{}x{}".format(*request.generated_size)
            ),
        ),
        # of those that are executed, as AUTOMATIC1111 counts them
        Setting("Hires steps", "hires_steps", write=second_pass_steps, read=_hires_steps),
        Setting("Hires total steps", "hires_steps", own=True, write=_further_hires_steps),
        Setting(
            "Hires upscaler",
            "hires_upscaler",
            always=True,
            choices=_UPSCALERS,
            read=lambda text, _: _ENLARGING.get(text, NETWORK),
        ),
        Setting(
            "Hires sampler",
            "hires_sampler",
            write=lambda request: _sampler_label(request.hires_sampler),
            read=_key_of(sampler_named),
        ),
        Setting(
            "Hires schedule type",
            "hires_scheduler",
            write=_hires_schedule_type,
            read=_key_of(scheduler_named),
        ),
        Setting("Hires prompt", "hires_prompt", read=lambda text, _: text),
        Setting("Hires negative prompt", "hires_negative_prompt", read=lambda text, _: text),
    ),
    Setting("Postprocess upscale to", "output_width", "output_height"),
    Setting(
        "Postprocess upscaler",
        own=True,
        when=lambda request: request.output_size or getattr(request, "post_upscale", False),
    ),
    *_if(
        lambda request: request.variation_strength,
        Setting("Variation seed", "variation_seed", always=True),
        Setting("Variation seed strength", "variation_strength"),
    ),
    Setting("Seed resize from", "seed_resize_from_w", "seed_resize_from_h", write=_resized_from),
    Setting(
        "Eta DDIM",
        "ddim_eta",
        when=lambda request: "ddim_eta" in _takes(request),
        write=lambda request: request.ddim_eta or None if request.eta is None else request.eta,
    ),
    Setting("Eta", "eta", when=lambda request: _takes(request) & {"eta", "ddim_eta"} == {"eta"}),
    *_if(
        lambda request: "s_churn" in _takes(request) and request.s_churn,
        Setting("Sigma churn", "s_churn"),
        Setting("Sigma tmin", "s_tmin"),
        Setting("Sigma tmax", "s_tmax"),
    ),
    Setting("Sigma noise", "s_noise", when=lambda request: "s_noise" in _takes(request)),
    Setting("Tiling", "tiling"),
    Setting("CFG Rescale φ", "guidance_rescale"),
    Setting("Guidance start", "guidance_start"),
    Setting("Guidance end", "guidance_end"),
    Setting(
        "Cache",
        "cache",
        keys=("interval",),
        when=lambda request: request.cache and not why_nothing_is_cached(request),
    ),
    Setting("Refiner"),
    Setting(
        "Refiner switch at",
        "refiner",
        write=lambda request: request.refiner_switch_at,
        # with the name of the model, which is one that is installed
        read=lambda text, all_: None if "Refiner" in all_ else {"switch_at": json_of(text)},
    ),
    # AUTOMATIC1111 reads it so by itself; the service does if Version is another's
    Setting("Prompt grammar", "prompt_grammar"),
    Setting("Clip skip", "clip_skip"),
    Setting("Zero negative", "zero_negative"),
)
