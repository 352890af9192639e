"""The quicker ways compute what PyTorch's own compute."""

import pytest
import torch
import torch.nn.functional as F
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from stable_diffusion.conditioning import Conditioning
from stable_diffusion.cpu import attention as module
from stable_diffusion.cpu.attention import attention
from stable_diffusion.cpu.convolution import QuickConvolution, as_matrices
from stable_diffusion.cpu.layers import use_quick_layers
from stable_diffusion.cpu.linear import AVAILABLE, QuickLinear
from stable_diffusion.families.tiny import TINY
from stable_diffusion.model import Model
from stable_diffusion.networks import unet_prediction


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="PyTorch without oneDNN")
def test_this_pytorch_has_what_the_linear_layers_are_made_of() -> None:
    """Its name is PyTorch's own business; this says when it has another."""
    assert AVAILABLE


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(5, 16), (2, 7, 16), (1, 1, 16), (3, 2, 2, 16)])
@pytest.mark.parametrize("little", [0, 2**20])
@torch.inference_mode()
def test_a_linear_layer_multiplies_as_pytorchs(
    shape: tuple[int, ...], bias: bool, little: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stable_diffusion.cpu.linear._MIN_PRODUCTS", little)
    layer = QuickLinear(16, 9, bias)
    x = torch.randn(shape)
    torch.testing.assert_close(layer(x), F.linear(x, layer.weight, layer.bias))
    turned = torch.randn(16, 6).t()
    torch.testing.assert_close(layer(turned), F.linear(turned, layer.weight, layer.bias))


def test_a_linear_layer_still_learns() -> None:
    layer = QuickLinear(16, 9)
    layer(torch.randn(2, 16)).sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.abs().sum() > 0


def test_every_layer_of_a_network_is_quick_and_as_it_was() -> None:
    network = nn.Sequential(
        nn.Linear(2, 3),
        nn.Sequential(nn.ReLU(), nn.Linear(3, 4, bias=False)),
        nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=False),
        nn.Conv2d(4, 6, (1, 3), padding=(0, 1), dilation=(1, 2), groups=2),
    )
    before = str(network)
    use_quick_layers(network)
    kinds = [type(layer) for layer in network.modules() if list(layer.parameters(recurse=False))]
    assert kinds == [QuickLinear, QuickLinear, QuickConvolution, QuickConvolution]
    assert str(network).replace("Quick", "").replace("Convolution", "Conv2d") == before


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [(1, 8, 8), (2, 5, 9), (1, 1, 1), (3, 2, 1)])
@pytest.mark.parametrize("kernel", [1, 3, 5])
@torch.inference_mode()
def test_a_convolution_is_a_multiplication_of_matrices(
    kernel: int, size: tuple[int, int, int], dtype: torch.dtype
) -> None:
    random = torch.Generator().manual_seed(kernel)
    weight = torch.randn(7, 12, kernel, kernel, generator=random)
    x = torch.randn(size[0], 12, *size[1:], generator=random)
    bias = torch.randn(7, generator=random)
    exact = F.conv2d(x, weight, bias, padding=kernel // 2)
    ours = as_matrices(
        x.to(dtype), weight.to(dtype, memory_format=torch.channels_last), bias.to(dtype)
    )
    assert (ours.shape, ours.dtype) == (exact.shape, dtype)
    assert ours.is_contiguous(memory_format=torch.channels_last)
    error = (ours.float() - exact).norm() / exact.norm()
    assert error < (1e-5 if dtype == torch.float32 else 2e-2)


@pytest.mark.parametrize(
    ("layer", "side", "taken"),
    [
        (QuickConvolution(512, 512, 3, padding=1), 16, True),
        (QuickConvolution(512, 512, 3, padding=1), 64, False),  # many positions
        (QuickConvolution(64, 64, 3, padding=1), 16, False),  # few weights
        (QuickConvolution(512, 512, 3, padding=1, stride=2), 16, False),
        (QuickConvolution(512, 512, 3), 16, False),
        (QuickConvolution(2048, 2048, 3, padding=1, groups=4), 8, False),
        (QuickConvolution(1024, 1024, 1), 8, True),
        (QuickConvolution(4, 8, 1), 64, True),  # single positions
        (QuickConvolution(4, 8, 1).bfloat16(), 64, False),
        (QuickConvolution(4, 8, 1, stride=2), 64, False),
    ],
    ids=str,
)
@torch.inference_mode()
def test_only_what_gains_is_multiplied_so(
    layer: QuickConvolution, side: int, taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def counted(x: Tensor, weight: Tensor, bias: Tensor | None, padding: str) -> Tensor:
        calls.append(1)
        return as_matrices(x, weight, bias, padding)

    monkeypatch.setattr("stable_diffusion.cpu.convolution.as_matrices", counted)
    x = torch.randn(1, layer.in_channels, side, side, dtype=layer.weight.dtype)
    expected = layer._conv_forward(x, layer.weight, layer.bias)
    torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-4)
    assert bool(calls) == taken


def of_heads(tokens: int, width: int, dtype: torch.dtype) -> Tensor:
    """As a projection leaves it: (2, 4, tokens, width), heads beside one another in memory."""
    flat = torch.randn(2, tokens, 4 * width, generator=torch.Generator().manual_seed(tokens))
    return flat.to(dtype).unflatten(-1, (4, -1)).transpose(1, 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("tokens", "keys"), [(64, 64), (64, 77), (1000, 1000), (900, 77), (1, 1)])
@pytest.mark.parametrize("cached", [2**14, 2**22])
@pytest.mark.parametrize("wide", [True, False])
@torch.inference_mode()
def test_attention_attends_as_pytorchs(
    tokens: int,
    keys: int,
    dtype: torch.dtype,
    cached: int,
    wide: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_BLOCK_BYTES", cached)
    monkeypatch.setattr(module, "_BLOCK_BYTES_FLOAT32", cached)
    monkeypatch.setattr(module, "wide_amd", lambda: wide)
    query, key, value = (of_heads(count, 24, dtype) for count in (tokens, keys, keys))
    ours = attention(query, key, value)
    exact = F.scaled_dot_product_attention(query.float(), key.float(), value.float())
    assert ours.shape == query.shape
    assert ours.dtype == dtype
    error = (ours.float() - exact).norm() / exact.norm()
    assert error < (1e-5 if dtype == torch.float32 else 1e-2)


def test_attention_still_learns() -> None:
    query, key, value = (of_heads(1000, 8, torch.float32).requires_grad_() for _ in range(3))
    attention(query, key, value).sum().backward()
    assert query.grad is not None


@torch.inference_mode()
def test_a_unet_predicts_what_it_predicts_in_diffusers(tiny: Model) -> None:
    kinds = {type(layer).__name__ for layer in tiny.networks.unet.modules()}
    assert kinds & {"Attention", "Linear", "Conv2d"} == set()
    theirs = UNet2DConditionModel(**TINY.part("unet").config).eval()
    theirs.load_state_dict(tiny.networks.unet.state_dict())
    x, text = torch.randn(2, 4, 96, 80), Conditioning(torch.randn(2, 154, TINY.context_width))
    t = torch.tensor([999.0, 3.5])
    expected = unet_prediction(theirs, x, t, text)
    torch.testing.assert_close(
        unet_prediction(tiny.networks.unet, x, t, text), expected, rtol=1e-4, atol=1e-4
    )
