"""A recorder of a network's evaluations that needs no GPU."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from torch import Tensor

from stable_diffusion.cuda.graphs import Function, Tensors


@dataclass
class FakeRecorder:
    """Records as on a GPU: its recordings read their own copies of the inputs.

    `spoil` changes an output as a faulty recording would; each recording takes `size` bytes;
    `inputs` has how many tensors each was given.
    """

    spoil: Callable[[Tensor], Tensor] = lambda output: output
    size: int = 0
    recorded: int = 0
    replayed: int = 0
    nbytes: int = 0
    inputs: list[int] = field(default_factory=list[int])

    def renewed(self) -> Self:
        self.nbytes = 0
        return self

    def __call__(self, function: Function, inputs: Tensors) -> Function:
        self.recorded += 1
        self.inputs.append(len(inputs))
        self.nbytes += self.size
        own = tuple(tensor.clone() for tensor in inputs)

        def replay(*given: Tensor) -> Tensor:
            self.replayed += 1
            for mine, new in zip(own, given, strict=True):
                mine.copy_(new)
            time.sleep(0.001)  # long enough for another thread to overwrite the inputs
            return self.spoil(function(*own))

        return replay
