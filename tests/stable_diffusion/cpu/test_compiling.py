"""The layers do not divide what is compiled for a GPU; PyTorch's device `meta` stands for one."""

import pytest
import torch
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.resnet import ResnetBlock2D
from torch import nn

from stable_diffusion.families.tiny import TINY
from stable_diffusion.networks import empty_conditioning, unet_prediction
from stable_diffusion.weights.state_dict_loading import empty_networks


@pytest.mark.parametrize("kind", [ResnetBlock2D, BasicTransformerBlock])
def test_a_part_of_a_unet_is_compiled_in_one_piece(kind: type[nn.Module]) -> None:
    unet = empty_networks(TINY).unet
    part = next(module for module in unet.modules() if isinstance(module, kind))
    part.compile(fullgraph=True, dynamic=False, backend="eager")
    with torch.device("meta"):
        x, t, text = torch.empty(1, 4, 16, 16), torch.empty(1), empty_conditioning(unet)
    with torch.inference_mode():
        assert unet_prediction(unet, x, t, text).shape == x.shape
