"""Networks that differ in a few weights and share all the others."""

import copy
from collections.abc import Mapping
from typing import TypeVar

from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)


def twin(module: M, changed: Mapping[str, Tensor] | None = None) -> M:
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
