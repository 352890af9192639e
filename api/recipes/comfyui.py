"""ComfyUI's graph as a native request.

`prompt` is the graph that was executed: node id → `class_type` and `inputs`, where `["4", 0]` is
output 0 of node 4 (nodes.py of ComfyUI). One sampler node is read, with what its links lead to: one
that starts from an empty latent if there is one, because others work on its result.
"""

import re
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from api.recipes.draft import Draft, Recipe
from api.recipes.installed import put_model, put_vae
from api.recipes.json_text import mapping, number_text
from jobs.names import without_suffix
from jobs.served import Served

Node = Mapping[str, Any]
Graph = Mapping[str, Node]
MAX_NODES = 1000
_SAMPLER_NODES = ("KSampler", "KSamplerAdvanced")
_CHECKPOINT_NODES = ("CheckpointLoaderSimple", "CheckpointLoader")
_LORA_NODES = ("LoraLoader", "LoraLoaderModelOnly")
_READ = {
    *_SAMPLER_NODES, *_CHECKPOINT_NODES, *_LORA_NODES, "CLIPTextEncode", "EmptyLatentImage",
    "CLIPSetLastLayer", "VAELoader", "VAEDecode", "VAEEncode", "LoadImage", "SaveImage",
    "PreviewImage", "SaveAnimatedWEBP",
}  # fmt: skip
_SAMPLERS = {
    "euler": "k_euler",
    "euler_ancestral": "k_euler_a",
    "heun": "k_heun",
    "dpm_2": "k_dpm_2",
    "dpm_2_ancestral": "k_dpm_2_a",
    "lms": "k_lms",
    "dpm_fast": "k_dpm_fast",
    "dpm_adaptive": "k_dpm_ad",
    "dpmpp_2s_ancestral": "k_dpmpp_2s_a",
    "dpmpp_sde": "k_dpmpp_sde",
    "dpmpp_sde_gpu": "k_dpmpp_sde",
    "dpmpp_2m": "k_dpmpp_2m",
    "dpmpp_2m_sde": "k_dpmpp_2m_sde",
    "dpmpp_2m_sde_gpu": "k_dpmpp_2m_sde",
    "dpmpp_3m_sde": "k_dpmpp_3m_sde",
    "dpmpp_3m_sde_gpu": "k_dpmpp_3m_sde",
    "ddim": "k_euler",  # as comfy/samplers.py has it
    "uni_pc": "unipc",
}
_EMBEDDING = re.compile(r"embedding:([\w./\\-]+)")


def comfyui_recipe(prompt: Mapping[str, Any], served: Served) -> Recipe:
    """What a graph means. Nodes that are not read are listed.

    Args:
        prompt: the graph.
        served: what is installed.
    """
    graph = {key: mapping(node) for key, node in list(prompt.items())[:MAX_NODES]}
    draft = Draft("comfyui")
    samplers = [node for node in graph.values() if node.get("class_type") in _SAMPLER_NODES]
    samplers.sort(key=lambda node: not _starts_empty(graph, node))
    if samplers:
        _read_sampler(draft, graph, samplers[0], served)
        for more in samplers[1:]:
            seed = mapping(more.get("inputs")).get("seed", "")
            draft.skip(_title(more), f"seed {seed}", "only one sampler is read")
    else:
        draft.skip("prompt", f"{len(graph)} nodes", "none of them is a KSampler")
    unread = [node for node in graph.values() if node.get("class_type") not in _READ]
    for title in dict.fromkeys(map(_title, unread)):
        draft.skip(title, "", "a node that the service does not read")
    return draft.finished()


def _read_sampler(draft: Draft, graph: Graph, node: Node, served: Served) -> None:
    inputs = mapping(node.get("inputs"))
    fields = {"seed": "seed", "noise_seed": "seed", "steps": "ddim_steps", "cfg": "scale"}
    for name, native in fields.items():
        if name in inputs:
            draft.put(native, _value(graph, inputs[name]), name)
    named = str(_value(graph, inputs.get("sampler_name", ""))).removeprefix("sample_")
    scheduler = str(_value(graph, inputs.get("scheduler", "")))
    draft.put_sampling(_SAMPLERS.get(named, named), scheduler, ("sampler_name", "scheduler"))
    draft.put("prompt_grammar", "a1111", "prompt_grammar")
    tags = _read_model(draft, graph, inputs.get("model"), served)
    prompt = " ".join([_text(draft, graph, inputs.get("positive"), "positive"), *tags])
    draft.put("prompt", prompt.strip(), "positive")
    if negative := _text(draft, graph, inputs.get("negative"), "negative"):
        draft.put("negative_prompt", negative, "negative")
    for each in _upstream(graph, inputs.get("positive")):
        if each.get("class_type") == "CLIPSetLastLayer":
            layer = mapping(each.get("inputs")).get("stop_at_clip_layer")
            draft.put(
                "clip_skip", -layer if isinstance(layer, int) else layer, "stop_at_clip_layer"
            )
    latent = _node(graph, inputs.get("latent_image"))
    if latent.get("class_type") == "EmptyLatentImage":
        size = mapping(latent.get("inputs"))
        for name, native in (("width", "W"), ("height", "H")):
            draft.put(native, _value(graph, size.get(name)), name)
    elif latent:
        draft.kind = "img2img"
        draft.put("denoising_strength", inputs.get("denoise", 1.0), "denoise")
    for name in ("start_at_step", "end_at_step"):
        if name in inputs:
            draft.skip(name, inputs[name], "all steps are sampled")


def _starts_empty(graph: Graph, sampler: Node) -> bool:
    latent = _node(graph, mapping(sampler.get("inputs")).get("latent_image"))
    return latent.get("class_type") == "EmptyLatentImage"


def _read_model(draft: Draft, graph: Graph, link: Any, served: Served) -> list[str]:
    """Set model and autoencoder; the tags of the LoRAs between checkpoint and sampler."""
    tags: list[str] = []
    for node in _upstream(graph, link):
        inputs, kind = mapping(node.get("inputs")), node.get("class_type")
        if kind in _LORA_NODES:
            name = without_suffix(str(inputs.get("lora_name", "")))
            weight = number_text(inputs.get("strength_model"))
            tags.insert(0, f"<lora:{name}:{weight}>")
            if inputs.get("strength_clip", inputs.get("strength_model")) != inputs.get(
                "strength_model"
            ):
                draft.skip("strength_clip", inputs["strength_clip"], f"{weight} is used for both")
        elif kind in _CHECKPOINT_NODES:
            put_model(draft, str(inputs.get("ckpt_name", "")), "", served, "ckpt_name")
    for node in graph.values():
        if node.get("class_type") == "VAELoader":
            name = str(mapping(node.get("inputs")).get("vae_name", ""))
            put_vae(draft, name, served.vaes, "vae_name")
    return tags


def _text(draft: Draft, graph: Graph, link: Any, name: str) -> str:
    """The text of the CLIPTextEncode behind a link; of several, the nearest."""
    encoders = [
        node for node in _upstream(graph, link) if node.get("class_type") == "CLIPTextEncode"
    ]
    for more in encoders[1:]:
        draft.skip(name, _value(graph, mapping(more.get("inputs")).get("text")), "a second text")
    if not encoders:
        return ""
    text = str(_value(graph, mapping(encoders[0].get("inputs")).get("text", "")))
    return _EMBEDDING.sub(lambda match: without_suffix(match[1]), text).strip()


def _upstream(graph: Graph, link: Any) -> Iterator[Node]:
    """The nodes that lead to a link, nearest first, each once."""
    waiting, seen = deque([link]), set[str]()
    while waiting:
        key = _key(waiting.popleft())
        if key in seen or key not in graph:
            continue
        seen.add(key)
        yield graph[key]
        waiting += mapping(graph[key].get("inputs")).values()


def _value(graph: Graph, value: Any) -> Any:
    """A value, or that of the primitive node that a link leads to."""
    if not _key(value):
        return value
    inputs = mapping(_node(graph, value).get("inputs"))
    own = [each for each in inputs.values() if not _key(each)]
    return own[0] if len(own) == 1 else None


def _node(graph: Graph, link: Any) -> Node:
    return graph.get(_key(link), {})


def _key(link: Any) -> str:
    """The node of a link `["4", 0]`; empty if it is none."""
    is_link = isinstance(link, list) and len(link) == 2 and isinstance(link[1], int)
    return str(link[0]) if is_link else ""


def _title(node: Node) -> str:
    return str(node.get("class_type", "a node without a type"))
