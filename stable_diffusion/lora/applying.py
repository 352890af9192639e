"""Adds LoRAs to a model: W + strength·ΔW, for the weights and biases of the layers they name."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from stable_diffusion.errors import LoraMismatch
from stable_diffusion.lora.layer_change import LayerChange, LowRank
from stable_diffusion.lora.lora_file import Lora
from stable_diffusion.lora.made_for import by_text_encoders, by_text_width
from stable_diffusion.lora.merging import MIN_BYTES, Merger, Scaled
from stable_diffusion.lora.names import without_index
from stable_diffusion.model import Model
from stable_diffusion.prompt.text_encoding_cache import TextEncodingCache
from stable_diffusion.shared_weights import clone_sharing_weights
from stable_diffusion.step_batching import StepBatcher

Strength = float | tuple[float, float]
"""For all networks, or for the text encoders and for the UNet."""
Parameter = tuple[str, str]
"""The name of a part, and that of a parameter in there."""

_MOST_NAMED = 3
# its width is that of the text embeddings, by which kinds of models differ
_READS_TEXT = re.compile(r"attn2_to_[kv]\Z")


class _Use(NamedTuple):
    """A parameter that a layer of a file changes, with the tensors that change it."""

    parameter: Parameter
    names: frozenset[str]
    of: Callable[[Tensor], Tensor | LowRank]


def with_loras(
    model: Model,
    loras: Sequence[tuple[Lora, Strength]],
    folder: Path | None = None,
    *,
    min_bytes: int = MIN_BYTES,
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
    parameters = _parameters(model)
    uses = _by_parameter(model, loras, parameters)
    size = lora_size(model, [lora for lora, _ in loras])
    in_file = model.device.type == "cpu" and size >= min_bytes
    merger = Merger(folder if in_file else None, size, len(uses))
    changed: dict[Parameter, Tensor] = {}
    used: list[set[str]] = [set() for _ in loras]
    misfits: list[list[str]] = [[] for _ in loras]
    for parameter, own in _exact(model, {each: parameters[each] for each in uses}):
        of_files = uses[parameter]
        in_unet = parameter[0] == "unet"
        changes: list[Scaled] = []
        for number, layer, use in of_files:
            lora, strength = loras[number]
            try:
                change = use.of(own)
            except ValueError as error:
                misfits[number].append(f"layer {layer} has {error}")
                if _READS_TEXT.search(layer):
                    reason = misfits[number][-1] + by_text_width(error)
                    raise _mismatch(lora, model, reason) from error
                continue
            used[number] |= use.names
            share = strength[in_unet] if isinstance(strength, tuple) else strength
            if share:
                changes.append(Scaled(change, share))
        if changes:
            changed[parameter] = merger.merged(own, changes, parameters[parameter].dtype)
    merger.finish()
    warnings = list(model.warnings)
    embeddings = dict(model.embeddings)
    for (lora, _), names, reasons in zip(loras, used, misfits, strict=True):
        if not names:
            reason = next(iter(reasons), f"the model has no layer {next(iter(lora.layers))}")
            raise _mismatch(lora, model, reason)
        warnings += [*lora.warnings, *_unused(lora, names)]
        embeddings |= lora.embeddings
    return replace(
        _with_parameters(model, changed),
        warnings=tuple(dict.fromkeys(warnings)),
        embeddings=embeddings,
    )


def _by_parameter(
    model: Model, loras: Sequence[tuple[Lora, Strength]], parameters: Mapping[Parameter, Tensor]
) -> dict[Parameter, list[tuple[int, str, _Use]]]:
    """What changes each parameter: the number of the LoRA, its layer, and the use.

    Raises LoraMismatch.
    """
    targets = _targets(model)
    found: dict[Parameter, list[tuple[int, str, _Use]]] = {}
    for number, (lora, _) in enumerate(loras):
        if reason := by_text_encoders(lora, targets):
            raise _mismatch(lora, model, reason)
        for layer, change in lora.layers.items():
            for use in _uses(change, targets.get(layer), parameters):
                found.setdefault(use.parameter, []).append((number, layer, use))
    return found


def lora_size(model: Model, loras: Sequence[Lora]) -> int:
    """The bytes that `with_loras` takes beside the model's own."""
    targets, parameters = _targets(model), _parameters(model)
    changed = {
        use.parameter
        for lora in loras
        for layer, change in lora.layers.items()
        for use in _uses(change, targets.get(layer), parameters)
    }
    return sum(parameters[each].nbytes for each in changed)


def _uses(
    change: LayerChange, target: Parameter | None, parameters: Mapping[Parameter, Tensor]
) -> Iterator[_Use]:
    """What a layer of a file changes in a model that has the layer."""
    if target is None:
        return
    part, layer = target
    for end, roles, of in (
        ("weight", change.weight_roles, change.factored),
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


def _with_parameters(model: Model, changed: Mapping[Parameter, Tensor]) -> Model:
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
    return replace(
        model,
        networks=networks,
        nbytes=sum(weight.nbytes for weight in changed.values()),
        exact_unet=None,  # its file has other weights
        text_encodings=TextEncodingCache(),
        graphs=model.graphs and model.graphs.empty(),
        step_batcher=model.step_batcher and StepBatcher(model.step_batcher.max_concurrent),
    )


def _exact(
    model: Model, parameters: Mapping[Parameter, Tensor]
) -> Iterator[tuple[Parameter, Tensor]]:
    """The parameters, those of a UNet in half precision as they are in the model's file."""
    for parameter, own in parameters.items():
        if parameter[0] != "unet" or not model.exact_unet:
            yield parameter, own
    if model.exact_unet:
        names = {name for part, name in parameters if part == "unet"}
        yield from ((("unet", name), weight) for name, weight in model.exact_unet(names))


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
