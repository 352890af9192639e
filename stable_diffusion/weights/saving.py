"""Writes networks as a checkpoint in the original Stable Diffusion layout."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from stable_diffusion.networks import Networks, parts_of
from stable_diffusion.variants import Prediction, Variant
from stable_diffusion.weights.checkpoint import PREDICTION_KEY
from stable_diffusion.weights.layout import RESBLOCKS, Layout


def save_checkpoint(
    networks: Networks,
    variant: Variant,
    path: Path,
    prediction: Prediction = "epsilon",
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write the networks in the original layout as .safetensors, whole or not at all."""
    partial = path.with_suffix(".partial")
    metadata = {PREDICTION_KEY: prediction, "format": "pt"}
    save_file(original_tensors(networks, variant, dtype), partial, metadata)
    partial.replace(path)


def original_tensors(
    networks: Networks, variant: Variant, dtype: torch.dtype = torch.float16
) -> dict[str, Tensor]:
    """The networks' weights on the CPU, by their names in the original layout."""
    layout = Layout(variant)
    places = {"text": layout.text, "unet": layout.unet, "vae": layout.vae}
    thirds: dict[str, dict[int, Tensor]] = {}
    tensors: dict[str, Tensor] = {}
    for part, module in parts_of(networks):
        for name, parameter in module.named_parameters():
            source = places[part](name)
            tensor = parameter.detach().to("cpu", dtype).contiguous()
            if source.third is None:
                tensors[source.name] = tensor
            else:
                thirds.setdefault(source.name, {})[source.third] = tensor
    for name, stacked in thirds.items():
        tensors[name] = torch.cat([stacked[third] for third in sorted(stacked)])
    if variant.text_layout == "open_clip":
        tensors |= _unread_layer(tensors, variant.text["num_hidden_layers"])
    return tensors


def _unread_layer(tensors: Mapping[str, Tensor], layers: int) -> dict[str, Tensor]:
    """The text encoder's last layer, that SD 2 leaves out: others count from the end to find it.

    Its zeros add nothing to what passes through.
    """
    last = f"{RESBLOCKS}{layers - 1}."
    return {
        name.replace(last, f"{RESBLOCKS}{layers}."): torch.zeros_like(tensor)
        for name, tensor in tensors.items()
        if name.startswith(last)
    }
