"""Computed weights in a mapped file: the same values, in the file or where there is no room."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from stable_diffusion.weights.unnamed_file import UnnamedFile


@pytest.mark.parametrize(
    ("tensor", "in_file"),
    [
        (torch.arange(15.0).view(3, 5), True),
        (torch.arange(72.0).view(2, 4, 3, 3).to(memory_format=torch.channels_last), True),
        (torch.arange(16.0).bfloat16().view(4, 4)[1:], True),
        (torch.tensor(3.0), True),
        (torch.empty(0, 3), False),
        (torch.zeros(2**16), False),
    ],
)
def test_a_tensor_keeps_its_values_and_layout(
    tmp_path: Path, tensor: Tensor, in_file: bool
) -> None:
    kept = UnnamedFile(tmp_path, 2**12, 4).keep(tensor)
    assert (kept is not tensor) == in_file
    assert torch.equal(kept, tensor) and kept.stride() == tensor.stride()
    assert not list(tmp_path.iterdir())
