"""ComfyUI's `workflow`, the graph as its editor has it → the graph as it is executed.

A node lists the values of its widgets without their names, in the order of nodes.py of ComfyUI.
"""

from collections.abc import Mapping
from typing import Any

from api.recipes.json_text import mapping, sequence

_SEED = ("seed", "control_after_generate")
_SAMPLING = ("steps", "cfg", "sampler_name", "scheduler")
_WIDGETS: dict[str, tuple[str, ...]] = {
    "KSampler": (*_SEED, *_SAMPLING, "denoise"),
    "KSamplerAdvanced": ("add_noise", "noise_seed", _SEED[1], *_SAMPLING),
    "CheckpointLoader": ("config_name", "ckpt_name"),
    "CheckpointLoaderSimple": ("ckpt_name",),
    "CLIPSetLastLayer": ("stop_at_clip_layer",),
    "CLIPTextEncode": ("text",),
    "EmptyLatentImage": ("width", "height", "batch_size"),
    "LoraLoader": ("lora_name", "strength_model", "strength_clip"),
    "LoraLoaderModelOnly": ("lora_name", "strength_model"),
    "VAELoader": ("vae_name",),
}
_ACTIVE = 0
"""The mode of a node that is neither muted nor bypassed."""


def graph_of_workflow(workflow: Mapping[str, Any]) -> dict[str, Any]:
    """Node id → `class_type` and `inputs`, without the nodes that are not executed."""
    outputs = {
        str(link[0]): [str(link[1]), link[2]]
        for link in map(sequence, sequence(workflow.get("links")))
        if len(link) > 2
    }
    graph: dict[str, Any] = {}
    for node in map(mapping, sequence(workflow.get("nodes"))):
        if node.get("mode", _ACTIVE) != _ACTIVE or node.get("type") == "Note":
            continue
        kind = str(node.get("type"))
        values = sequence(node.get("widgets_values"))
        inputs = dict(zip(_WIDGETS.get(kind, ("value",)), values, strict=False))
        for each in map(mapping, sequence(node.get("inputs"))):
            if (link := outputs.get(str(each.get("link")))) is not None:
                inputs[str(each.get("name"))] = link
        graph[str(node.get("id"))] = {"class_type": kind, "inputs": inputs}
    return graph
