"""InvokeAI's metadata as a native request.

`invokeai_metadata` is written since version 3 (`CoreMetadataInvocation` in
invokeai/app/invocations/metadata.py), `sd-metadata` by version 2 (invokeai/backend/args.py).
"""

import re
from collections.abc import Mapping
from typing import Any

from api.recipes.draft import NO_SUCH_PARAMETER, Draft, Recipe
from api.recipes.installed import put_model, put_vae
from api.recipes.json_text import mapping, number_text, sequence
from jobs.names import without_suffix
from jobs.served import Served

_FIELDS = {
    "positive_prompt": "prompt",
    "negative_prompt": "negative_prompt",
    "width": "W",
    "height": "H",
    "seed": "seed",
    "cfg_scale": "scale",
    "cfg_rescale_multiplier": "guidance_rescale",
    "steps": "ddim_steps",
}
_SAMPLERS = {
    "ddim": "ddim",
    "lms": "k_lms",
    "pndm": "plms",
    "plms": "plms",
    "heun": "k_heun",
    "euler": "k_euler",
    "euler_a": "k_euler_a",
    "kdpm_2": "k_dpm_2",
    "kdpm_2_a": "k_dpm_2_a",
    "dpm_2": "k_dpm_2",
    "dpm_2_a": "k_dpm_2_a",
    "dpmpp_2": "k_dpmpp_2m",
    "dpmpp_2m": "k_dpmpp_2m",
    "dpmpp_2m_sde": "k_dpmpp_2m_sde",
    "dpmpp_sde": "k_dpmpp_sde",
    "unipc": "unipc",
}
"""Schedulers of both versions → samplers; one that ends in `_k` has Karras' noise levels."""
_TAKEN = {
    "app_version", "generation_mode", "scheduler", "model", "vae", "loras", "strength", "clip_skip",
    "seamless_x", "seamless_y", "rand_device",
}  # fmt: skip
_WEIGHTS = re.compile(r"[\w)](\+\+|--)|\)[+-]|\)\d|\.(swap|blend|and)\(")
_VERSION_2 = {"prompt": "positive_prompt", "sampler": "scheduler"}


def invokeai_recipe(metadata: Mapping[str, Any], served: Served) -> Recipe:
    """What the metadata of version 3 and later means."""
    draft = Draft("invokeai")
    if "img2img" in str(metadata.get("generation_mode", "")) or "strength" in metadata:
        draft.kind = "img2img"
        if (strength := metadata.get("strength")) is not None:
            draft.put("denoising_strength", strength, "strength")
    for name, native in _FIELDS.items():
        if metadata.get(name) is not None:
            draft.put(native, metadata[name], name)
    draft.put("prompt_grammar", "a1111", "prompt_grammar")
    loras = _loras(metadata)
    draft.body["prompt"] = " ".join([str(draft.body.get("prompt", "")), *loras]).strip()
    _note_weights(draft)
    if metadata.get("clip_skip"):  # layers that are skipped; the native field counts from 1
        skipped = metadata["clip_skip"]
        draft.put("clip_skip", skipped + 1 if isinstance(skipped, int) else skipped, "clip_skip")
    seamless = [metadata.get(name) is True for name in ("seamless_x", "seamless_y")]
    if all(seamless):
        draft.put("tiling", True, "seamless_x")
    elif any(seamless):
        draft.skip("seamless_x, seamless_y", seamless, "tiling is in both directions")
    if scheduler := metadata.get("scheduler"):
        _put_scheduler(draft, str(scheduler))
    model = metadata.get("model")
    # version 2 has the SHA-256, later ones another digest
    put_model(draft, _name(model), str(mapping(model).get("sha256", "")), served, "model")
    if vae := _name(metadata.get("vae")):
        put_vae(draft, vae, served.vaes, "vae")
    if str(metadata.get("rand_device", "cpu")) != "cpu":
        draft.skip("rand_device", metadata["rand_device"], "noise is drawn on the CPU here")
    for name, value in metadata.items():
        if name not in _FIELDS and name not in _TAKEN and value not in (None, "", [], {}, False):
            draft.skip(name, value, NO_SUCH_PARAMETER)
    return draft.finished()


def invokeai_2_recipe(metadata: Mapping[str, Any], served: Served) -> Recipe:
    """What the metadata of version 2 means."""
    image = dict(mapping(metadata.get("image")))
    prompts = sequence(image.get("prompt"))
    if prompts:
        image["prompt"] = " ".join(str(mapping(each).get("prompt", "")) for each in prompts)
    image = {_VERSION_2.get(name, name): value for name, value in image.items()}
    prompt = str(image.get("positive_prompt", ""))
    if negative := re.findall(r"\[([^\[\]]*)\]", prompt):
        image["negative_prompt"] = ", ".join(negative)
        # from the first space of several on: else each of a million would be searched from
        image["positive_prompt"] = re.sub(r"(?<!\s)\s*\[[^\[\]]*\]", "", prompt).strip()
    if image.pop("seamless", False):
        image |= {"seamless_x": True, "seamless_y": True}
    image["generation_mode"] = image.pop("type", "txt2img")
    image["scheduler"] = str(image.get("scheduler", "")).removeprefix("k_")
    image["model"] = {
        "name": str(metadata.get("model_weights", "")),
        "sha256": str(metadata.get("model_hash") or ""),
    }
    return invokeai_recipe(image, served)


def _put_scheduler(draft: Draft, scheduler: str) -> None:
    key = scheduler.removesuffix("_k")
    karras = "karras" if key != scheduler else ""
    draft.put_sampling(_SAMPLERS.get(key, scheduler), karras, ("scheduler", "scheduler"))


def _loras(metadata: Mapping[str, Any]) -> list[str]:
    """`<lora:name:weight>` for each; version 3 called `lora` what is `model` later."""
    tags: list[str] = []
    for lora in map(mapping, sequence(metadata.get("loras"))):
        name = _name(lora.get("model") or lora.get("lora"))
        tags.append(f"<lora:{without_suffix(name)}:{number_text(lora.get('weight', 1))}>")
    return tags


def _name(model: Any) -> str:
    """The name of a model: of version 4, of version 3, or a text."""
    if isinstance(model, str):
        return model
    found = mapping(model)
    return str(found.get("name") or found.get("model_name") or "")


def _note_weights(draft: Draft) -> None:
    for field, name in (("prompt", "positive_prompt"), ("negative_prompt", "negative_prompt")):
        if found := _WEIGHTS.search(str(draft.body.get(field, ""))):
            draft.skip(
                name, found[0], "InvokeAI's weights and blends are written in another way here"
            )
