import pytest
import torch

from stable_diffusion.model import Model
from stable_diffusion.offload.plan import OffloadPlan, make_plan


@pytest.fixture(scope="session")
def streamed_plan(tiny: Model) -> OffloadPlan:
    """A plan of the tiny model's UNet with as little resident as possible."""
    return make_plan(tiny.networks.unet, 0, torch.device("cpu"))
