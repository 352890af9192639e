"""Adds LoRAs to a model: W + strength·ΔW, for the weights and biases of the layers they name."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from stable_diffusion.errors import LoraMismatch
from stable_diffusion.lora.layer_change import LayerChange
from stable_diffusion.lora.lora_file import Lora
from stable_diffusion.lora.made_for import by_text_encoders, by_text_width
from stable_diffusion.lora.names import without_index
from stable_diffusion.model import Model
from stable_diffusion.prompt.text_encoding_cache import TextEncodingCache
from stable_diffusion.shared_weights import clone_sharing_weights
from stable_diffusion.step_batching import StepBatcher
from stable_diffusion.weights.mapped import MappedFiles, release_freed
from stable_diffusion.weights.unnamed_file import UnnamedFile

Strength = float | tuple[float, float]
"""For all networks, or for the text encoders and for the UNet."""
Parameter = tuple[str, str]
"""The name of a part, and that of a parameter in there."""

_MOST_NAMED = 3
_MIN_BYTES = 256 * 2**20
"""Bytes of changed weights below which a file on disk saves no memory worth the writing."""
_TRIM_BYTES = 128 * 2**20
"""Bytes after which freed memory is released: what lies between small blocks added up to 1.3 GB."""
# its width is that of the text embeddings, by which kinds of models differ
_READS_TEXT = re.compile(r"attn2_to_[kv]\Z")


class _Use(NamedTuple):
    """A parameter that a layer of a file changes, with the tensors that change it."""

    parameter: Parameter
    names: frozenset[str]
    of: Callable[[Tensor], Tensor]


def with_loras(
    model: Model,
    loras: Sequence[tuple[Lora, Strength]],
    folder: Path | None = None,
    *,
    min_bytes: int = _MIN_BYTES,
) -> Model:
    """A model with LoRAs added to its weights, each with its own strength.

    Each is computed from the weights of the model itself, so their order has no effect. The result
    shares with the model all weights that no LoRA changes, and both may be used concurrently. Its
    `warnings` count the tensors that were not used, and its `embeddings` are those of the files.

    Args:
        folder: on a CPU, changed weights of `min_bytes` or more are in a file on the disk of this
            folder and mapped, so that memory plans can release their pages; None: in memory.

    Raises:
        LoraMismatch: a LoRA was made for another kind of model; the message says why.
    """
    targets = _targets(model)
    parameters = _parameters(model)
    kept = _Kept(model, [lora for lora, _ in loras], folder, min_bytes)
    changed: dict[Parameter, Tensor] = {}
    warnings = list(model.warnings)
    embeddings = dict(model.embeddings)
    for lora, strength in loras:
        text, unet = strength if isinstance(strength, tuple) else (strength, strength)
        if reason := by_text_encoders(lora, targets):
            raise _mismatch(lora, model, reason)
        used: set[str] = set()
        misfits: list[str] = []
        for layer, change in lora.layers.items():
            for use in _uses(change, targets.get(layer), parameters):
                own = parameters[use.parameter]
                try:
                    added = use.of(own)
                except ValueError as error:
                    misfits.append(f"layer {layer} has {error}")
                    if _READS_TEXT.search(layer):
                        reason = misfits[-1] + by_text_width(error)
                        raise _mismatch(lora, model, reason) from error
                    continue
                used |= use.names
                share = unet if use.parameter[0] == "unet" else text
                if share:
                    before = changed.get(use.parameter, own)
                    changed[use.parameter] = kept(_sum(before, share * added), own)
        if not used:
            reason = misfits[0] if misfits else f"the model has no layer {next(iter(lora.layers))}"
            raise _mismatch(lora, model, reason)
        warnings += [*lora.warnings, *_unused(lora, used)]
        embeddings |= lora.embeddings
    return replace(
        _with_parameters(model, changed, kept),
        warnings=tuple(dict.fromkeys(warnings)),
        embeddings=embeddings,
    )


class _Kept:
    """Puts changed weights where they stay: in an unnamed file, or in memory.

    Args: as of `with_loras`.
    """

    def __init__(
        self, model: Model, loras: Sequence[Lora], folder: Path | None, min_bytes: int
    ) -> None:
        self._file: UnnamedFile | None = None
        self._untrimmed = 0
        size = sum(lora_size(model, [lora]) for lora in loras)
        if folder is None or model.device.type != "cpu" or size < min_bytes:
            return
        tensors = 2 * len(loras) * len(_parameters(model))
        with suppress(OSError):  # then they stay in memory, as without a folder
            self._file = UnnamedFile(folder, size, tensors)
            self._mapped = MappedFiles()

    def __call__(self, weight: Tensor, source: Tensor) -> Tensor:
        """The weight where it stays; pages of its source that were read are released."""
        if self._file is None:
            return weight
        kept = self._file.keep(weight)
        self._mapped.release(source)
        self._untrimmed += weight.nbytes
        if self._untrimmed > _TRIM_BYTES:
            self._untrimmed = 0
            release_freed()
        return kept


def lora_size(model: Model, loras: Sequence[Lora]) -> int:
    """The bytes that `with_loras` takes beside the model's own."""
    targets, parameters = _targets(model), _parameters(model)
    changed = {
        use.parameter
        for lora in loras
        for layer, change in lora.layers.items()
        for use in _uses(change, targets.get(layer), parameters)
    }
    half_unet = model.networks.half_unet
    halves = [parameters[each] for each in changed if half_unet and each[0] == "unet"]
    return sum(parameters[each].nbytes for each in changed) + sum(2 * w.numel() for w in halves)


def _uses(
    change: LayerChange, target: Parameter | None, parameters: Mapping[Parameter, Tensor]
) -> Iterator[_Use]:
    """What a layer of a file changes in a model that has the layer."""
    if target is None:
        return
    part, layer = target
    for end, roles, of in (
        ("weight", change.weight_roles, change.of_weight),
        ("bias", change.bias_roles, change.of_bias),
    ):
        if roles and (part, f"{layer}.{end}") in parameters:
            names = frozenset(change.names[role] for role in roles)
            yield _Use((part, f"{layer}.{end}"), names, of)


def _mismatch(lora: Lora, model: Model, reason: str) -> LoraMismatch:
    return LoraMismatch(
        f"LoRA {lora.name!r} does not fit the model {model.name!r} ({model.family.id}): {reason}"
    )


def _unused(lora: Lora, used: set[str]) -> tuple[str, ...]:
    """A sentence about the tensors of a file that were not used, if there are any."""
    of_layers = {name for change in lora.layers.values() for name in change.names.values()}
    unused = sorted((of_layers - used).union(lora.unknown))
    if not unused:
        return ()
    listed = ", ".join(unused[:_MOST_NAMED]) + (", ..." if len(unused) > _MOST_NAMED else "")
    count = f"{len(unused)} of {lora.tensor_count} tensors"
    return (f"LoRA {lora.name}: {count} were not used: {listed}",)


def _with_parameters(model: Model, changed: Mapping[Parameter, Tensor], kept: _Kept) -> Model:
    """The model with other tensors for some parameters."""
    by_part: dict[str, dict[str, Tensor]] = {part: {} for part, _ in _parameters(model)}
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
        halves = {
            name: kept(weight.to(half_unet.dtype), weight)
            for name, weight in by_part["unet"].items()
        }
        networks = replace(networks, half_unet=clone_sharing_weights(half_unet, halves))
        own_bytes += sum(weight.nbytes for weight in halves.values())
    return replace(
        model,
        networks=networks,
        nbytes=own_bytes,
        text_encodings=TextEncodingCache(),
        graphs=model.graphs and model.graphs.empty(),
        step_batcher=model.step_batcher and StepBatcher(model.step_batcher.max_concurrent),
    )


def _sum(weight: Tensor, delta: Tensor) -> Tensor:
    """The sum in a new tensor, with the type and the memory layout of the weight."""
    total = torch.empty_like(weight, memory_format=torch.preserve_format)
    return total.copy_(weight.float() + delta)


def _parameters(model: Model) -> dict[Parameter, Tensor]:
    """The parameters of all networks that LoRAs change."""
    return {
        (part.name, name): parameter.detach()
        for part in model.family.parts
        if part.lora_prefixes
        for name, parameter in model.networks.parts[part.name].named_parameters()
    }


def _targets(model: Model) -> dict[str, Parameter]:
    """The part and the layer, by every name that a LoRA file may have for the layer."""
    targets: dict[str, Parameter] = {}
    for part_name, name in _parameters(model):
        layer, _, end = name.rpartition(".")
        if end == "weight":
            for spelling in model.family.part(part_name).lora_layers(layer):
                targets.setdefault(without_index(spelling), (part_name, layer))
    return targets
