"""An infotext as a native request.

The names are those of AUTOMATIC1111 1.10 (`create_infotext` in modules/processing.py, and
modules/infotext_utils.py) and of `worker/execution/infotext.py`.
"""

from api.recipes.automatic_schedulers import AUTOMATIC_SCHEDULERS
from api.recipes.draft import NO_SUCH_PARAMETER, Draft, Recipe
from api.recipes.infotext_fields import sizes_split, split_infotext, value_of
from api.recipes.infotext_mask import put_mask
from api.recipes.installed import put_model, put_vae
from jobs.names import SCHEDULERS, sampler_named
from jobs.workers import Served

OURS = "stable-diffusion-service"
FIELDS = {
    "Steps": "ddim_steps",
    "CFG scale": "scale",
    "Image CFG scale": "image_scale",
    "Seed": "seed",
    "Size-1": "W",
    "Size-2": "H",
    "Clip skip": "clip_skip",
    "Noise multiplier": "noise_multiplier",
    "Variation seed": "variation_seed",
    "Variation seed strength": "variation_strength",
    "Seed resize from-1": "seed_resize_from_w",
    "Seed resize from-2": "seed_resize_from_h",
    "Eta": "eta",
    "Eta DDIM": "ddim_eta",
    "Sigma churn": "s_churn",
    "Sigma tmin": "s_tmin",
    "Sigma tmax": "s_tmax",
    "Sigma noise": "s_noise",
    "Tiling": "tiling",
    "CFG Rescale φ": "guidance_rescale",
    "Guidance start": "guidance_start",
    "Guidance end": "guidance_end",
    "Postprocess upscale to-1": "output_width",
    "Postprocess upscale to-2": "output_height",
    "Hires upscale": "hires_scale",
    "Hires steps": "hires_steps",
    "Hires upscaler": "hires_upscaler",
}
"""Settings whose values are those of a native field."""
_TAKEN = {"Sampler", "Schedule type", "Model", "Model hash", "VAE", "Version", "User", "RNG"}
_HIRES = ("Hires upscale", "Hires steps", "Hires upscaler", "Hires resize-1")
_STRENGTH = "Denoising strength"
_HASHES = "names decide which file is used, hashes are not compared"


def infotext_recipe(text: str, served: Served) -> Recipe:
    """What an infotext means.

    Args:
        text: as of `split_infotext`, not empty.
        served: what is installed.
    """
    parts = split_infotext(text)
    settings = sizes_split(parts.settings)
    ours = settings.get("Version", "").startswith(OURS)
    draft = Draft("service" if ours else "automatic1111" if settings else "unknown")
    draft.put("prompt", parts.prompt, "Prompt")
    if parts.negative_prompt:
        draft.put("negative_prompt", parts.negative_prompt, "Negative prompt")
    grammar = settings.pop("Prompt grammar", "native" if ours else "a1111")
    if settings:
        draft.put("prompt_grammar", grammar, "Prompt grammar")
    _put_sampler(draft, settings, ours)
    put_model(draft, settings.get("Model", ""), settings.get("Model hash", ""), served)
    if settings.get("VAE"):
        put_vae(draft, settings["VAE"], served.vaes)
    if not ours and settings and settings.get("RNG") != "CPU":
        drawn = settings.get("RNG", "GPU")
        draft.skip("RNG", drawn, "noise is drawn on the CPU here: the seed gives another picture")
    _put_strength(draft, settings)
    put_mask(draft, settings)
    if ours:
        _put_upscaling(draft, settings)
    for name in [name for name in settings if name not in _TAKEN]:
        value = settings[name]
        if name in FIELDS:
            draft.put(FIELDS[name], value_of(value), name, value)
        else:
            draft.skip(name, value, _HASHES if "hash" in name else NO_SUCH_PARAMETER)
    return draft.finished(text)


def split_sampler(label: str) -> tuple[str, str]:
    """A sampler's name without the scheduler at its end (`DPM++ 2M Karras`), and that scheduler."""
    if sampler_named(label) is None or label.lower().endswith(" karras"):
        for row in SCHEDULERS:
            for spelling in (row.label, row.key, *row.aliases):
                if label.lower().endswith(f" {spelling.lower()}"):
                    return label[: -len(spelling) - 1], row.key
    return label, ""


def _put_sampler(draft: Draft, settings: dict[str, str], ours: bool) -> None:
    if "Sampler" not in settings:
        return
    label, scheduler = split_sampler(settings["Sampler"])
    scheduler = scheduler or settings.get("Schedule type", "")
    # without a schedule type A1111 was older than 1.9, whose labels named the scheduler
    if scheduler.lower() == "automatic" and not ours:
        scheduler = AUTOMATIC_SCHEDULERS.get(label, "")
    draft.put_sampling(label, scheduler, ("Sampler", "Schedule type"))


def _put_strength(draft: Draft, settings: dict[str, str]) -> None:
    """The strength is img2img's, or that of the second pass of hires fix."""
    strength = settings.pop(_STRENGTH, None)
    if strength is None:
        return
    hires = any(name in settings for name in _HIRES)
    native = "hires_strength" if hires else "denoising_strength"
    if not hires:
        draft.kind = "img2img"
    draft.put(native, value_of(strength), _STRENGTH, strength)


def _put_upscaling(draft: Draft, settings: dict[str, str]) -> None:
    """What this service writes of its own upscaling; which upscaler it was follows from these."""
    settings.pop("Postprocess upscaler", None)
    if (upscaler := settings.pop("Init image upscaler", None)) is not None:
        draft.put("upscale", True, "Init image upscaler", upscaler)
    if (factor := settings.pop("Postprocess upscale by", None)) is not None:
        draft.put("post_upscale", factor == "2" or factor, "Postprocess upscale by", factor)
