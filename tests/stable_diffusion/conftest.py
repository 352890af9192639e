"""The shipped model, loaded once."""

import pytest
import torch

from stable_diffusion.model import Model, load_model
from stable_diffusion.tiny import PATH


@pytest.fixture(scope="session")
def tiny() -> Model:
    torch.set_num_threads(1)
    return load_model(PATH, name="tiny")
