"""Replaces the layers of a network by faster ones."""

from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.attention_processor import Attention
from torch import nn

from stable_diffusion.cpu.attention import QuickAttention
from stable_diffusion.cpu.convolution import QuickConvolution
from stable_diffusion.cpu.linear import QuickLinear


def use_quick_layers(network: nn.Module) -> None:
    """Replace each layer that has a faster equivalent; weights are not kept."""
    # innermost first: an attention layer takes over its linear layers
    for parent in reversed(list(network.modules())):
        for name, child in parent.named_children():
            if type(child) is nn.Linear:
                setattr(parent, name, _linear(child))
            elif type(child) is nn.Conv2d:
                setattr(parent, name, _convolution(child))
            elif type(child) is Attention and isinstance(parent, BasicTransformerBlock):
                setattr(parent, name, QuickAttention(child))


def _linear(layer: nn.Linear) -> QuickLinear:
    return QuickLinear(layer.in_features, layer.out_features, layer.bias is not None)


def _convolution(layer: nn.Conv2d) -> QuickConvolution:
    return QuickConvolution(
        layer.in_channels,
        layer.out_channels,
        layer.kernel_size,  # type: ignore[arg-type]
        layer.stride,  # type: ignore[arg-type]
        layer.padding,  # type: ignore[arg-type]
        layer.dilation,  # type: ignore[arg-type]
        layer.groups,
        layer.bias is not None,
        layer.padding_mode,
    )
