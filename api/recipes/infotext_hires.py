"""What an infotext says about a second pass: AUTOMATIC1111's hires fix."""

from math import ceil

from api.recipes.draft import Draft
from api.recipes.infotext_fields import value_of
from api.recipes.infotext_sampler import split_sampler
from jobs.names import sampler_named, scheduler_named

STRENGTH = "Denoising strength"
_FIELDS = {
    "Hires upscale": "hires_scale",
    "Hires resize-1": "hires_width",
    "Hires resize-2": "hires_height",
    "Hires prompt": "hires_prompt",
    "Hires negative prompt": "hires_negative_prompt",
}
_TEXTS = {"Hires prompt", "Hires negative prompt"}
_STEPS, _UPSCALER = "Hires steps", "Hires upscaler"
_UPSCALERS = {
    "Latent": "latent",
    "Latent (antialiased)": "latent_antialiased",
    "Latent (bicubic)": "latent_bicubic",
    "Latent (bicubic antialiased)": "latent_bicubic_antialiased",
    "Latent (nearest)": "latent_nearest",
    "Latent (nearest-exact)": "latent_nearest_exact",
    "Lanczos": "lanczos",
    "Nearest": "nearest",
    "None": "lanczos",
}
_NETWORK = "default"


def has_second_pass(settings: dict[str, str]) -> bool:
    """Whether the settings of an infotext are those of a picture with a second pass."""
    return any(name in settings for name in (*_FIELDS, _STEPS, _UPSCALER))


def put_hires(draft: Draft, settings: dict[str, str], *, ours: bool) -> None:
    """Take the settings of a second pass out of those of an infotext, and set their fields."""
    if not has_second_pass(settings):
        return
    strength = settings.pop(STRENGTH, "")
    if strength:
        draft.put("hires_strength", value_of(strength), STRENGTH, strength)
    for name in [name for name in _FIELDS if name in settings]:
        written = settings.pop(name)
        value = written if name in _TEXTS else value_of(written)
        draft.put(_FIELDS[name], value, name, written)
    if upscaler := settings.pop(_UPSCALER, ""):
        draft.put("hires_upscaler", _UPSCALERS.get(upscaler, _NETWORK), _UPSCALER, upscaler)
        if upscaler not in _UPSCALERS and not ours:
            draft.skip(_UPSCALER, upscaler, "the upscaler of the service is used instead")
    if steps := settings.pop(_STEPS, ""):
        _put_steps(draft, steps, value_of(strength), value_of(settings.get("Steps", "")))
    _put_sampling(draft, settings)


def _put_steps(draft: Draft, written: str, strength: object, first: object) -> None:
    """Executed steps → the steps of which the strength executes as many; 0: those of the first."""
    executed, share = value_of(written), strength
    if isinstance(executed, int) and isinstance(share, int | float) and share > 0:
        if isinstance(first, int) and max(1, int(share * first)) == executed:
            return
        steps = ceil(executed / share - 1e-9)
        draft.put("hires_steps", steps, _STEPS, written)
    else:
        draft.put("hires_steps", executed, _STEPS, written)


def _put_sampling(draft: Draft, settings: dict[str, str]) -> None:
    label, scheduler = split_sampler(settings.pop("Hires sampler", ""))
    scheduler = settings.pop("Hires schedule type", "") or scheduler
    if label:
        row = sampler_named(label)
        draft.put("hires_sampler", row.key if row else label, "Hires sampler", label)
    if scheduler:
        schedule = scheduler_named(scheduler)
        key = schedule.key if schedule else scheduler
        draft.put("hires_scheduler", key, "Hires schedule type", scheduler)
