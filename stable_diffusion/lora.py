"""LoRA: low-rank additions to a model's weights, W + strength·(alpha/rank)·up·down.

Reads kohya's .safetensors (linear layers and convolutions, with or without a middle) and the
up/down and A/B names of diffusers and PEFT. Source: Hu et al. 2021, arXiv:2106.09685, equation 3.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from stable_diffusion.errors import LoraMismatch, UnreadableModel
from stable_diffusion.graphs import Graphs
from stable_diffusion.model import Model
from stable_diffusion.prompt.text_encoding_cache import TextEncodingCache
from stable_diffusion.shared_weights import clone_sharing_weights
from stable_diffusion.step_batching import StepBatcher
from stable_diffusion.weights.checkpoint import open_checkpoint

Target = tuple[str, str]
"""A weight: the name of its part, and its own name in there."""

# suffix of a tensor's name → the matrix it is; the rest names the layer
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
_OTHER_METHODS = {
    "hada_": "LoHa",
    "lokr_": "LoKr",
    "dora_scale": "DoRA",
    "oft_": "OFT",
    ".diff": "a diff",
}


@dataclass(frozen=True)
class Delta:
    """The addition to one layer's weight.

    Attributes:
        up, down: (out, rank, ...) and (rank, in, ...).
        mid: (rank, rank, h, w) of a convolution that was decomposed into three.
        alpha: None: the rank.
    """

    up: Tensor
    down: Tensor
    mid: Tensor | None = None
    alpha: float | None = None

    def of(self, shape: torch.Size) -> Tensor:
        """The product, scaled by alpha/rank, as (out, in, ...) float32.

        Raises:
            ValueError: it does not have the shape of the weight.
        """
        self._check(shape)
        up, down = self.up.float(), self.down.float()
        rank = down.shape[0]
        if self.mid is not None:
            product = torch.einsum(
                "or,rshw,si->oihw", up.flatten(1), self.mid.float(), down.flatten(1)
            )
        else:
            product = up.flatten(1) @ down.flatten(1)
        scale = (rank if self.alpha is None else self.alpha) / rank
        return scale * product.reshape(shape)

    def _check(self, shape: torch.Size) -> None:
        """Refuse a product of another shape before it is computed: it may be very large."""
        if min(self.up.dim(), self.down.dim()) < 2 or not self.down.numel():
            raise ValueError(f"{tuple(self.up.shape)} by {tuple(self.down.shape)}")
        product = (self.up.shape[0], self.down.numel() // self.down.shape[0])
        if self.mid is not None:
            product += tuple(self.mid.shape[2:])
        if math.prod(product) != shape.numel() or product[0] != shape[0]:
            raise ValueError(f"{product}, not {tuple(shape)}")


@dataclass(frozen=True)
class Lora:
    """The contents of a file: the addition to each layer, by the layer's name in the file."""

    path: Path
    deltas: Mapping[str, Delta]


def read_lora(path: Path) -> Lora:
    """Read a LoRA's file.

    Raises:
        ModelNotFound: there is no such file.
        UnreadableModel: it is damaged, or uses another method; the message says which.
    """
    checkpoint = open_checkpoint(path)
    layers: dict[str, dict[str, Tensor]] = {}
    for name in sorted(checkpoint.names):
        end = next((end for end in _ROLES if name.endswith(end)), None)
        if end is None:
            other = next(
                (what for mark, what in _OTHER_METHODS.items() if mark in name), "something else"
            )
            raise UnreadableModel(
                f"LoRA {path.name!r} holds {other} ({name}); only plain LoRA is read"
            )
        layers.setdefault(_layer(name.removesuffix(end)), {})[_ROLES[end]] = checkpoint.read(name)
    deltas: dict[str, Delta] = {}
    for layer, tensors in layers.items():
        if not {"up", "down"} <= tensors.keys():
            raise UnreadableModel(f"LoRA {path.name!r}: layer {layer} lacks its up or down half")
        if "alpha" in tensors and tensors["alpha"].numel() != 1:
            raise UnreadableModel(f"LoRA {path.name!r}: the alpha of layer {layer} is no number")
        alpha = float(tensors["alpha"]) if "alpha" in tensors else None
        deltas[layer] = Delta(tensors["up"], tensors["down"], tensors.get("mid"), alpha)
    if not deltas:
        raise UnreadableModel(f"LoRA {path.name!r} holds no layers")
    return Lora(path, deltas)


def with_loras(model: Model, loras: Sequence[tuple[Lora, float]]) -> Model:
    """A model with LoRAs added to its weights, each with its own strength.

    It shares with the first all weights that no LoRA changes, and both may be used concurrently.

    Raises:
        LoraMismatch: a LoRA was made for another kind of model; the message says why.
    """
    targets = _targets(model)
    weights = _weights(model)
    changed: dict[Target, Tensor] = {}
    for lora, strength in loras:
        for layer, delta in lora.deltas.items():
            target = targets.get(layer)
            if target is None:
                raise LoraMismatch(
                    f"LoRA {lora.path.stem!r} does not fit the model {model.name!r} "
                    f"({model.family.id}), which has no layer {layer}"
                )
            weight = changed.get(target, weights[target])
            try:
                added = delta.of(weight.shape)
            except (ValueError, RuntimeError) as error:
                raise LoraMismatch(
                    f"LoRA {lora.path.stem!r} does not fit the model {model.name!r} "
                    f"({model.family.id}): layer {layer} has shape {error}"
                ) from error
            changed[target] = _sum(weight, strength * added.to(weight.device))
    by_part: dict[str, dict[str, Tensor]] = {part: {} for part, _ in weights}
    for (part, name), weight in changed.items():
        by_part[part][name] = weight
    networks = model.networks.with_parts(
        **{
            part: clone_sharing_weights(model.networks.parts[part], own)
            for part, own in by_part.items()
        }
    )
    own_bytes = sum(weight.nbytes for weight in changed.values())
    half_unet = model.networks.half_unet
    if half_unet:
        halves = {name: weight.to(half_unet.dtype) for name, weight in by_part["unet"].items()}
        networks = replace(networks, half_unet=clone_sharing_weights(half_unet, halves))
        own_bytes += sum(weight.nbytes for weight in halves.values())
    return replace(
        model,
        networks=networks,
        nbytes=own_bytes,
        text_encodings=TextEncodingCache(),
        graphs=model.graphs and Graphs(),
        step_batcher=model.step_batcher and StepBatcher(model.step_batcher.max_concurrent),
    )


def lora_size(model: Model, loras: Sequence[Lora]) -> int:
    """The bytes that `with_loras` takes beside the model's own."""
    targets = _targets(model)
    weights = _weights(model)
    changed = {targets[layer] for lora in loras for layer in lora.deltas if layer in targets}
    half_unet = model.networks.half_unet
    halves = [weights[target] for target in changed if half_unet and target[0] == "unet"]
    return sum(weights[target].nbytes for target in changed) + sum(2 * w.numel() for w in halves)


def _sum(weight: Tensor, delta: Tensor) -> Tensor:
    """The sum in a new tensor, with the type and the memory layout of the weight."""
    total = torch.empty_like(weight, memory_format=torch.preserve_format)
    return total.copy_(weight.float() + delta)


def _weights(model: Model) -> dict[Target, Tensor]:
    """The weights of all networks that LoRAs change."""
    return {
        (part.name, name): parameter.detach()
        for part in model.family.parts
        if part.lora_prefixes
        for name, parameter in model.networks.parts[part.name].named_parameters()
    }


def _layer(name: str) -> str:
    """A layer's name in one notation: kohya's, which has underscores for points."""
    return _without_index(name.replace(".processor.", ".").replace(".", "_"))


def _without_index(layer: str) -> str:
    """A layer without the index that attention's output projection has in some files only."""
    return layer.replace("_to_out_0", "_to_out")


def _targets(model: Model) -> dict[str, Target]:
    """The weight of each layer, by every name that a LoRA file may have for the layer."""
    targets: dict[str, Target] = {}
    for target in _weights(model):
        part, name = model.family.part(target[0]), target[1]
        if name.endswith(".weight"):
            for layer in part.lora_layers(name.removesuffix(".weight")):
                targets.setdefault(_without_index(layer), target)
    return targets
