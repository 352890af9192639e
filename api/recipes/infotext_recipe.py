"""An infotext as a native request.

The names are those of AUTOMATIC1111 1.10 (`create_infotext` in modules/processing.py, and
modules/infotext_utils.py) and of `worker/execution/infotext.py`.
"""

from api.recipes.draft import NO_SUCH_PARAMETER, Draft, Recipe
from api.recipes.infotext_fields import sizes_split, split_infotext, value_of
from api.recipes.infotext_hires import STRENGTH, put_hires
from api.recipes.infotext_mask import put_mask
from api.recipes.infotext_sampler import put_sampler
from api.recipes.installed import put_model, put_refiner, put_vae
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
    "Zero negative": "zero_negative",
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
    STRENGTH: "denoising_strength",
}
"""Settings whose values are those of a native field."""
_TAKEN = {"Sampler", "Schedule type", "Model", "Model hash", "VAE", "Version", "User", "RNG"}
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
    put_sampler(draft, settings, ours=ours)
    put_model(draft, settings.get("Model", ""), settings.get("Model hash", ""), served)
    if settings.get("VAE"):
        put_vae(draft, settings["VAE"], served.vaes)
    if not ours and settings and settings.get("RNG") != "CPU":
        drawn = settings.get("RNG", "GPU")
        draft.skip("RNG", drawn, "noise is drawn on the CPU here: the seed gives another picture")
    put_hires(draft, settings, ours=ours)
    if STRENGTH in settings:
        draft.kind = "img2img"
    put_mask(draft, settings)
    if (interval := settings.pop("Cache interval", None)) is not None:
        draft.put("cache", {"interval": value_of(interval)}, "Cache interval", interval)
    if (refiner := settings.pop("Refiner", None)) is not None:
        put_refiner(draft, refiner, settings.pop("Refiner switch at", ""), served)
    if ours:
        _put_upscaling(draft, settings)
    for name in [name for name in settings if name not in _TAKEN]:
        value = settings[name]
        if name in FIELDS:
            draft.put(FIELDS[name], value_of(value), name, value)
        else:
            draft.skip(name, value, _HASHES if "hash" in name else NO_SUCH_PARAMETER)
    return draft.finished(text)


def _put_upscaling(draft: Draft, settings: dict[str, str]) -> None:
    """What this service writes of its own upscaling; which upscaler it was follows from these."""
    settings.pop("Postprocess upscaler", None)
    if (upscaler := settings.pop("Init image upscaler", None)) is not None:
        draft.put("upscale", True, "Init image upscaler", upscaler)
    if (factor := settings.pop("Postprocess upscale by", None)) is not None:
        draft.put("post_upscale", factor == "2" or factor, "Postprocess upscale by", factor)
