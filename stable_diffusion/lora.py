"""LoRA: what a file adds to a model's weights, W + w·(alpha/rank)·up·down.

Reads kohya's .safetensors (linear layers and convolutions, with or without a middle) and the
up/down and A/B names of diffusers and PEFT. Source: Hu et al. 2021, arXiv:2106.09685, equation 3.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from stable_diffusion.errors import LoraMismatch, UnreadableModel
from stable_diffusion.graphs import Graphs
from stable_diffusion.model import Model
from stable_diffusion.networks import Networks
from stable_diffusion.prompt.text_encoding_cache import TextEncodingCache
from stable_diffusion.sharing import clone_sharing_weights
from stable_diffusion.step_batching import StepBatcher
from stable_diffusion.weights.checkpoint import open_checkpoint
from stable_diffusion.weights.layout import UNET_PREFIX, Layout

SUFFIXES = (".safetensors",)

# the end of a tensor's name -> what it is; the rest names the layer
_ROLES = {
    ".lora_down.weight": "down",
    ".lora_up.weight": "up",
    ".lora_mid.weight": "mid",
    ".lora_A.weight": "down",
    ".lora_B.weight": "up",
    "_lora.down.weight": "down",
    "_lora.up.weight": "up",
    ".lora.down.weight": "down",
    ".lora.up.weight": "up",
    ".alpha": "alpha",
}
_OTHERS = {"hada_": "LoHa", "lokr_": "LoKr", "dora_scale": "DoRA", "oft_": "OFT", ".diff": "a diff"}


@dataclass(frozen=True)
class Delta:
    """What is added to one layer's weight.

    Attributes:
        up, down: (out, rank, ...) and (rank, in, ...).
        mid: (rank, rank, h, w) of a convolution that was taken apart in three.
        alpha: None stands for the rank.
    """

    up: Tensor
    down: Tensor
    mid: Tensor | None = None
    alpha: float | None = None

    def of(self, shape: torch.Size) -> Tensor:
        """The product, scaled by alpha/rank, as (out, in, ...) float32.

        Raises:
            ValueError: it does not have the shape of the weight that it is to be added to.
        """
        up, down = self.up.float(), self.down.float()
        rank = down.shape[0]
        if self.mid is not None:
            product = torch.einsum(
                "or,rshw,si->oihw", up.flatten(1), self.mid.float(), down.flatten(1)
            )
        else:
            product = up.flatten(1) @ down.flatten(1)
        scale = (rank if self.alpha is None else self.alpha) / rank
        if product.numel() != shape.numel() or product.shape[0] != shape[0]:
            raise ValueError(f"{tuple(product.shape)}, not {tuple(shape)}")
        return scale * product.reshape(shape)


@dataclass(frozen=True)
class Lora:
    """An opened file: a delta for each layer it names."""

    path: Path
    deltas: Mapping[str, Delta]


def read_lora(path: Path) -> Lora:
    """Open a LoRA's file.

    Raises:
        ModelNotFound: there is no such file.
        UnreadableModel: it is damaged, or of a kind that is not read; the message says which.
    """
    checkpoint = open_checkpoint(path)
    layers: dict[str, dict[str, Tensor]] = {}
    for name in sorted(checkpoint.names):
        end = next((end for end in _ROLES if name.endswith(end)), None)
        if end is None:
            other = next((what for mark, what in _OTHERS.items() if mark in name), "something else")
            raise UnreadableModel(
                f"LoRA {path.name!r} holds {other} ({name}); only plain LoRA is read"
            )
        layers.setdefault(_layer(name.removesuffix(end)), {})[_ROLES[end]] = checkpoint.read(name)
    deltas: dict[str, Delta] = {}
    for layer, tensors in layers.items():
        if not {"up", "down"} <= tensors.keys():
            raise UnreadableModel(f"LoRA {path.name!r}: layer {layer} lacks its up or down half")
        alpha = float(tensors["alpha"]) if "alpha" in tensors else None
        deltas[layer] = Delta(tensors["up"], tensors["down"], tensors.get("mid"), alpha)
    if not deltas:
        raise UnreadableModel(f"LoRA {path.name!r} holds no layers")
    return Lora(path, deltas)


def with_loras(model: Model, loras: Sequence[tuple[Lora, float]]) -> Model:
    """A model with LoRAs added to its weights, each with its own weight.

    It shares with the first whatever no LoRA touches, and both may be used at the same time.

    Raises:
        LoraMismatch: a LoRA was made for another kind of model; the message says why.
    """
    places = _places(model)
    changed: dict[str, Tensor] = {}
    weights = _weights(model.networks)
    for lora, strength in loras:
        for layer, delta in lora.deltas.items():
            place = places.get(layer)
            if place is None:
                raise LoraMismatch(
                    f"LoRA {lora.path.stem!r} does not fit the model {model.name!r} "
                    f"({model.variant.name}), which has no layer {layer}"
                )
            weight = changed.get(place, weights[place])
            try:
                added = delta.of(weight.shape)
            except (ValueError, RuntimeError) as error:
                raise LoraMismatch(
                    f"LoRA {lora.path.stem!r} does not fit the model {model.name!r} "
                    f"({model.variant.name}): layer {layer} has shape {error}"
                ) from error
            changed[place] = _added(weight, strength * added.to(weight.device))
    text = {n.removeprefix("text."): w for n, w in changed.items() if n.startswith("text.")}
    unet = {n.removeprefix("unet."): w for n, w in changed.items() if n.startswith("unet.")}
    half = model.networks.half
    halves = {name: weight.to(half.dtype) for name, weight in unet.items()} if half else {}
    networks = replace(
        model.networks,
        text=clone_sharing_weights(model.networks.text, text),
        unet=clone_sharing_weights(model.networks.unet, unet),
        half=half and clone_sharing_weights(half, halves),
    )
    own = sum(weight.nbytes for weight in (*changed.values(), *halves.values()))
    return replace(
        model,
        networks=networks,
        nbytes=own,
        text_encodings=TextEncodingCache(),
        graphs=model.graphs and Graphs(),
        step_batcher=model.step_batcher and StepBatcher(model.step_batcher.max_concurrent),
    )


def lora_size(model: Model, loras: Sequence[Lora]) -> int:
    """The bytes that `with_loras` takes beside the model's own."""
    places = _places(model)
    weights = _weights(model.networks)
    touched = {places[layer] for lora in loras for layer in lora.deltas if layer in places}
    halves = [weights[place] for place in touched if model.networks.half and "unet." in place]
    return sum(weights[place].nbytes for place in touched) + sum(2 * w.numel() for w in halves)


def _added(weight: Tensor, delta: Tensor) -> Tensor:
    """The sum in a tensor of its own, with the type and the memory layout of the weight."""
    total = torch.empty_like(weight, memory_format=torch.preserve_format)
    return total.copy_(weight.float() + delta)


def _weights(networks: Networks) -> dict[str, Tensor]:
    parts: tuple[tuple[str, nn.Module], ...] = (("text", networks.text), ("unet", networks.unet))
    return {
        f"{part}.{name}": parameter.detach()
        for part, module in parts
        for name, parameter in module.named_parameters()
    }


def _layer(name: str) -> str:
    """A layer's name in one spelling: kohya's, which has underscores for points."""
    name = name.replace(".processor.", ".")
    name = name.replace(".to_out.0", ".to_out").replace(".", "_")
    if name.startswith("text_encoder_"):
        return _short("lora_te_" + name.removeprefix("text_encoder_"))
    return _short("lora_" + name if name.startswith("unet_") else name)


def _short(name: str) -> str:
    """Without what only some write: the list around a projection, the wrapper of the encoder."""
    name = name.removesuffix("_to_out_0") + "_to_out" if name.endswith("_to_out_0") else name
    return name.replace("lora_te1_", "lora_te_").replace("lora_te_text_model_", "lora_te_")


def _places(model: Model) -> dict[str, str]:
    """Where each layer's weight is found, by every name that a LoRA may give the layer."""
    places: dict[str, str] = {}
    layout = Layout(model.variant)
    for name in _weights(model.networks):
        part, _, own = name.partition(".")
        if not own.endswith(".weight"):
            continue
        layer = own.removesuffix(".weight").replace(".", "_")
        if part == "text":
            places[_short(f"lora_te_{layer}")] = name
            continue
        places[_short(f"lora_unet_{layer}")] = name
        original = layout.unet(own).name.removeprefix(UNET_PREFIX).removesuffix(".weight")
        places.setdefault(_short(f"lora_unet_{original.replace('.', '_')}"), name)
    return places
