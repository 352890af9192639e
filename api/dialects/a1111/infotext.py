"""The `infotext` of a request: the parameters of a picture, for the fields that a body leaves out.

As `apply_infotext` in modules/api/api.py of AUTOMATIC1111 1.10.
"""

from collections.abc import Collection, Mapping
from typing import Any

from api.dialects.a1111.fields import Field
from api.recipes.infotext_fields import fields_of_infotext
from api.recipes.infotext_recipe import OURS
from api.recipes.installed import OWN_VAE
from jobs.infotext.setting import json_of

_FIELDS = {
    "Prompt": "prompt",
    "Negative prompt": "negative_prompt",
    "Steps": "steps",
    "Sampler": "sampler_name",
    "Schedule type": "scheduler",
    "CFG scale": "cfg_scale",
    "Image CFG scale": "image_cfg_scale",
    "Seed": "seed",
    "Size-1": "width",
    "Size-2": "height",
    "Denoising strength": "denoising_strength",
    "Noise multiplier": "initial_noise_multiplier",
    "Variation seed": "subseed",
    "Variation seed strength": "subseed_strength",
    "Seed resize from-1": "seed_resize_from_w",
    "Seed resize from-2": "seed_resize_from_h",
    "Eta": "eta",
    "Sigma churn": "s_churn",
    "Sigma tmin": "s_tmin",
    "Sigma tmax": "s_tmax",
    "Sigma noise": "s_noise",
    "Tiling": "tiling",
    "Mask blur": "mask_blur",
    "Masked area padding": "inpaint_full_res_padding",
    "Refiner": "refiner_checkpoint",
    "Refiner switch at": "refiner_switch_at",
    "Hires upscale": "hr_scale",
    "Hires steps": "hr_second_pass_steps",
    "Hires upscaler": "hr_upscaler",
    "Hires resize-1": "hr_resize_x",
    "Hires resize-2": "hr_resize_y",
}
_SETTINGS = {
    "Model": "sd_model_checkpoint",
    "Model hash": "sd_model_checkpoint",  # counts more than the name
    "VAE": "sd_vae",
    "Clip skip": "CLIP_stop_at_last_layers",
}
_OVERRIDES = "override_settings"


def with_infotext(body: Mapping[str, Any], table: Collection[Field]) -> Mapping[str, Any]:
    """A body with the values of its `infotext` in the fields that it leaves out.

    Args:
        body: of a request.
        table: the fields that it may have.
    """
    text = body.get("infotext")
    if not isinstance(text, str) or not text.strip():
        return body
    written = fields_of_infotext(text)
    types = {field.name: field.type for field in table}
    filled: dict[str, Any] = {
        name: written[label] if types[name] is str else json_of(written[label])
        for label, name in _FIELDS.items()
        if label in written and name in types
    }
    if "enable_hr" in types and any(label.startswith("Hires ") for label in written):
        filled["enable_hr"] = True
    own = body.get(_OVERRIDES) or {}
    if isinstance(own, dict):
        settings = {
            name: json_of(written[label]) if label == "Clip skip" else written[label]
            for label, name in _SETTINGS.items()
            if label in written
        }
        if written.get("Version", "").startswith(OURS):
            settings.setdefault("sd_vae", OWN_VAE)
        filled[_OVERRIDES] = settings | own
        body = {name: value for name, value in body.items() if name != _OVERRIDES}
    return {**filled, **body}
