"""The GPU, or in a rehearsal the CPU."""

import pytest
import torch


@pytest.fixture(scope="session")
def device() -> str:
    return "cuda:0" if torch.cuda.is_available() else "cpu"
