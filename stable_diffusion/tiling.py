"""Seamless pictures: convolutions that continue at the opposite edge.

With circular padding in every convolution a network has no edges left: a picture that is rolled
comes out rolled. Attention knows no positions, and other layers work position by position.
"""

from typing import TypeVar

from diffusers.models.downsampling import Downsample2D
from torch import nn

from stable_diffusion.shared_weights import clone_sharing_weights

M = TypeVar("M", bound=nn.Module)


def without_edges(network: M) -> M:
    """A copy of a network with circular padding, which shares all weights with the original."""
    clone = clone_sharing_weights(network)
    for module in clone.modules():
        if isinstance(module, nn.Conv2d) and any(module.padding):
            module.padding_mode = "circular"
        elif isinstance(module, Downsample2D) and module.padding == 0:
            _pad_in_convolution(module)
    return clone


def _pad_in_convolution(layer: Downsample2D) -> None:
    """An autoencoder pads with zeros, at the right and at the bottom, before such a convolution."""
    layer.padding = 1  # anything but 0: it must not pad itself
    convolution = layer.conv
    assert isinstance(convolution, nn.Conv2d)
    convolution.padding_mode = "circular"
    convolution._reversed_padding_repeated_twice = [0, 1, 0, 1]
