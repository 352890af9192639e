"""Networks that share weights, and the tensors that modules refer to."""

import copy
from collections.abc import Mapping
from typing import Any, TypeVar

from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)
TensorSlots = list[tuple[dict[str, Any], str, Tensor]]
"""A dictionary of parameters or buffers of a module, a key in it, and the tensor for that key."""


def clone_sharing_weights(module: M, changed: Mapping[str, Tensor] | None = None) -> M:
    """A copy of a module whose weights are the same tensors, without a copy of them.

    Assigning a parameter of one does not change the other, and both may compute at the same time.

    Args:
        module: a network that is not trained.
        changed: parameters of the copy that differ, by name.
    """
    shared = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    clone = copy.deepcopy(module, memo=shared)
    for name, tensor in (changed or {}).items():
        owner, _, parameter = name.rpartition(".")
        clone.get_submodule(owner)._parameters[parameter] = nn.Parameter(
            tensor, requires_grad=False
        )
    return clone


def tensor_slots(network: nn.Module) -> TensorSlots:
    """The parameters and buffers that a network's modules refer to now."""
    return [
        (held, name, tensor)
        for module in network.modules()
        for held in (module._parameters, module._buffers)
        for name, tensor in held.items()
        if tensor is not None
    ]


def fill_slots(slots: TensorSlots) -> None:
    """Have modules refer to these tensors instead of their present ones."""
    for held, name, tensor in slots:
        held[name] = tensor
