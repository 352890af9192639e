"""AUTOMATIC1111's hires fix, as a second pass of a native request."""

import math
from dataclasses import dataclass
from typing import Any

from werkzeug.exceptions import NotFound

from api.dialects.a1111.extras_resize import RESAMPLINGS
from api.dialects.a1111.fields import Values
from api.dialects.a1111.fields_extras import NO_UPSCALER
from api.dialects.a1111.sampler_names import AUTOMATIC, sampling_of
from api.drawing_size import DrawingSize
from jobs.limits import MAX_OUTPUT_SIDE, MAX_SIDE, MIN_SIDE, SIDE_STEP, Limits
from jobs.parameters.hires import MAX_SCALE, MIN_SCALE
from jobs.parameters.output import OUTPUT_FIELDS
from jobs.parameters.types import MAX_STEPS
from jobs.upscalers import NETWORK
from jobs.validation.validation_faults import safe_value

LATENT_MODES = {
    "Latent": "latent",
    "Latent (antialiased)": "latent_antialiased",
    "Latent (bicubic)": "latent_bicubic",
    "Latent (bicubic antialiased)": "latent_bicubic_antialiased",
    "Latent (nearest)": "latent_nearest",
    "Latent (nearest-exact)": "latent_nearest_exact",
}
"""Its names of the native upscalers of latents, in its order."""


@dataclass(frozen=True)
class HiresFix:
    """What a request with `enable_hr` becomes.

    Attributes:
        body: native fields, to be put over those of the first pass.
        warnings: what could not be followed.
    """

    body: dict[str, Any]
    warnings: tuple[str, ...]


def drawn_size(values: Values) -> tuple[int, int]:
    """Width and height of the first pass."""
    if not values.of.get("enable_hr") or not _has_first_phase(values):
        return values["width"], values["height"]
    width, height = values["firstphase_width"], values["firstphase_height"]
    return width or values["width"], height or values["height"]


def hires_fix(
    values: Values,
    size: DrawingSize,
    limits: Limits,
    installed: str,
    *,
    steps: int,
) -> HiresFix:
    """The second pass of a request with `enable_hr`.

    Args:
        values: of the request.
        size: of its first pass.
        limits: the caps on one request.
        installed: the name under which the workers' upscaler is listed.
        steps: of the first pass.

    Raises:
        NotFound: there is no such sampler.
    """
    warnings: list[str] = []
    body: dict[str, Any] = {
        "hires_steps": _steps(values, steps),
        "hires_upscaler": _upscaler(values["hr_upscaler"] or "Latent", installed, warnings),
    }
    if values["denoising_strength"] == 0:
        body["hires_strength"] = 1 / MAX_STEPS
        warnings.append("denoising_strength: 0 is a single step at the lowest noise level here")
    if size.output:
        warnings.append(
            f"hires fix: the first pass is drawn at {size.width}×{size.height} pixels in place of "
            "{}×{}, which suits the model better".format(*size.output)
        )
    wanted = _target(values)
    scale = values["hr_scale"]
    if wanted is None and not (size.output and MIN_SCALE <= scale <= MAX_SCALE):
        body["hires_scale"] = scale  # what it may be is the rule of the native field
    else:
        wanted = wanted or _scaled(values)
        width, height = _possible(wanted, limits)
        body |= {"hires_width": width, "hires_height": height}
        # the size of the result is that of the second pass
        output = None
        if (width, height) != wanted:
            output = wanted
            warnings.append(
                f"hires fix: the second pass is drawn at {width}×{height} pixels and brought to "
                f"{wanted[0]}×{wanted[1]}"
            )
        for field, side in zip(OUTPUT_FIELDS, output or (None, None), strict=True):
            body[field] = side and min(MAX_OUTPUT_SIDE, side)
    name, scheduler = values["hr_sampler_name"], values["hr_scheduler"]
    if name or scheduler:
        usual = values["sampler_name"] or values["sampler_index"]
        asked = sampling_of(name or usual, scheduler or values["scheduler"])
        if asked is None:
            raise NotFound("Sampler not found")
        body["hires_sampler"] = asked.sampler
        body["hires_scheduler"] = asked.scheduler or AUTOMATIC
        warnings += (f"hr_{warning}" for warning in asked.warnings)
    return HiresFix(body, tuple(warnings))


def _has_first_phase(values: Values) -> bool:
    return bool(values["firstphase_width"] or values["firstphase_height"])


def _steps(values: Values, first: int) -> int:
    """Native steps of which as many are executed as AUTOMATIC1111 executes."""
    executed = values["hr_second_pass_steps"] or first
    strength = values["denoising_strength"]
    if not (0 <= strength <= 1 and 0 < executed <= MAX_STEPS):
        return executed  # a fault of its field
    if executed >= MAX_STEPS * strength:
        return MAX_STEPS
    # a product such as 0.7 · 30 is a little below 21
    steps = math.ceil(executed / strength - 1e-9)
    steps += int(strength * steps) < executed
    return min(MAX_STEPS, steps)


def _upscaler(name: str, installed: str, warnings: list[str]) -> str:
    if name in LATENT_MODES:
        return LATENT_MODES[name]
    if name == NO_UPSCALER:
        return "lanczos"  # the picture is resized all the same
    if name in RESAMPLINGS:
        return name.lower()
    if name != installed:
        shown = safe_value("hr_upscaler", name)
        warnings.append(f"hr_upscaler: {shown!r} is not installed; {installed} was used")
    return NETWORK


def _scaled(values: Values) -> tuple[int, int]:
    width, height = (_whole(side * values["hr_scale"]) for side in drawn_size(values))
    return width, height


def _target(values: Values) -> tuple[int, int] | None:
    """The size of the second pass in pixels; None: it is `hr_scale` times the first."""
    width, height = drawn_size(values)
    wide, high = values["hr_resize_x"], values["hr_resize_y"]
    if wide or high:
        return _whole(wide or high * width / height), _whole(high or wide * height / width)
    if _has_first_phase(values):
        return _whole(values["width"]), _whole(values["height"])
    return None


def _whole(side: float) -> int:
    """A side as latents have it."""
    return max(SIDE_STEP, int(side) // SIDE_STEP * SIDE_STEP)


def _possible(wanted: tuple[int, int], limits: Limits) -> tuple[int, int]:
    """The largest size of the same aspect, up to the wanted one, that a second pass may have."""
    width, height = wanted
    factor = min(1.0, MAX_SIDE / max(wanted), math.sqrt(limits.max_hires_pixels / (width * height)))
    wide, high = (max(MIN_SIDE, _whole(side * factor)) for side in wanted)
    return wide, high
