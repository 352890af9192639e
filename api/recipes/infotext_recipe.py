"""An infotext as a native request: `jobs.infotext.table` has the names."""

from api.recipes.draft import NO_SUCH_PARAMETER, Draft, Recipe
from api.recipes.infotext_fields import sizes_split, split_infotext
from api.recipes.infotext_sampler import put_sampler, split_sampler
from api.recipes.installed import OWN_VAE, put_model, put_refiner, put_vae
from jobs.infotext.table import SETTINGS, STRENGTH
from jobs.parameters.schemas import SCHEMAS, fields_of
from jobs.served import Served
from jobs.upscalers import NETWORK

OURS = "stable-diffusion-service"
_TAKEN = {"Version", "User", "RNG"}
_HASHES = "names decide which file is used, hashes are not compared"


def infotext_recipe(text: str, served: Served) -> Recipe:
    """What an infotext means.

    Args:
        text: as of `split_infotext`, not empty.
        served: what is installed.
    """
    parts = split_infotext(text)
    settings = sizes_split(parts.settings)
    if "Hires sampler" in settings:
        settings["Hires sampler"], scheduler = split_sampler(settings["Hires sampler"])
        if scheduler:
            settings.setdefault("Hires schedule type", scheduler)
    ours = settings.get("Version", "").startswith(OURS)
    draft = Draft("service" if ours else "automatic1111" if settings else "unknown")
    draft.put("prompt", parts.prompt, "Prompt")
    if parts.negative_prompt:
        draft.put("negative_prompt", parts.negative_prompt, "Negative prompt")
    if settings:
        draft.put("prompt_grammar", "native" if ours else "a1111", "Prompt grammar")
    put_sampler(draft, settings, ours=ours)
    put_model(draft, settings.get("Model", ""), settings.get("Model hash", ""), served)
    # the service names every one that replaces the model's own
    if vae := settings.get("VAE") or (OWN_VAE if ours and "Model" in settings else ""):
        put_vae(draft, vae, served.vaes)
    if "Refiner" in settings:
        put_refiner(draft, settings["Refiner"], settings.get("Refiner switch at", ""), served)
    if not ours and settings and settings.get("RNG") != "CPU":
        drawn = settings.get("RNG", "GPU")
        draft.skip("RNG", drawn, "noise is drawn on the CPU here: the seed gives another picture")
    if STRENGTH in settings and not any(label.startswith("Hires ") for label in settings):
        draft.kind = "img2img"
    _put_fields(draft, settings, ours=ours)
    if "Mask blur" in settings and "extend" not in draft.body:
        draft.skip("mask", "", "a picture does not hold the mask that it was made with")
    if not ours and draft.body.get("hires_upscaler") == NETWORK:
        used = "the upscaler of the service is used instead"
        draft.skip("Hires upscaler", settings["Hires upscaler"], used)
    return draft.finished(text)


def _put_fields(draft: Draft, settings: dict[str, str], *, ours: bool) -> None:
    """Set the fields of the table that the draft's kind has; other settings are not read."""
    known = {"", *fields_of(SCHEMAS[draft.kind]["optimized"])}
    table = {
        label: (setting, field)
        for setting in SETTINGS
        for label, field in setting.labels.items()
        if field in known and (ours or not setting.own)
    }
    for label, text in settings.items():
        setting, field = table.get(label, (None, ""))
        if setting is None and label not in _TAKEN:
            draft.skip(label, text, _HASHES if "hash" in label else NO_SUCH_PARAMETER)
        if setting is None or not field:
            continue
        value = setting.value(label, text, settings)
        if setting.keys:
            value |= draft.body.get(field, {})
        if value is not None:
            draft.put(field, value, label, text)
