import pytest
import torch

from stable_diffusion.model import Model
from stable_diffusion.offload.plan import OffloadPlan, pack


@pytest.fixture(scope="session")
def apart(tiny: Model) -> OffloadPlan:
    """The tiny model's UNet of which as little stays as can be."""
    return pack(tiny.networks.unet, 0, torch.device("cpu"))
