"""What every test of the training shares."""

import pytest
import torch


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Random tensors are the same whichever tests the process has run before."""
    torch.manual_seed(1)
