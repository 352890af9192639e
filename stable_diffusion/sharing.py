"""Networks that differ in a few weights and share all the others, and what their modules hold."""

import copy
from collections.abc import Mapping
from typing import Any, TypeVar

from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)
TensorSlots = list[tuple[dict[str, Any], str, Tensor]]
"""Who holds a tensor (a module's parameters or buffers), under which name, and the tensor."""


def clone_sharing_weights(module: M, changed: Mapping[str, Tensor] | None = None) -> M:
    """Another module of the same kind, whose weights are the very tensors of the first.

    Neither knows of the other: what is changed in one by name (`changed`) stays as it is in the
    other, and both may compute at the same time.

    Args:
        module: a network that nobody trains.
        changed: parameters that shall be others, by name.
    """
    shared = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    made = copy.deepcopy(module, memo=shared)
    for name, tensor in (changed or {}).items():
        owner, _, parameter = name.rpartition(".")
        made.get_submodule(owner)._parameters[parameter] = nn.Parameter(tensor, requires_grad=False)
    return made


def tensor_slots(network: nn.Module) -> TensorSlots:
    """The weights and buffers of a network, as its modules hold them now."""
    return [
        (held, name, tensor)
        for module in network.modules()
        for held in (module._parameters, module._buffers)
        for name, tensor in held.items()
        if tensor is not None
    ]


def fill_slots(tensors: TensorSlots) -> None:
    """Have each module hold its tensor, in the place of another."""
    for held, name, tensor in tensors:
        held[name] = tensor
