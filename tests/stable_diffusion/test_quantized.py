"""Weights in fewer bits have their true values, or the model is refused."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from stable_diffusion import tiny
from stable_diffusion.errors import UnreadableModel
from stable_diffusion.families.tiny import TINY
from stable_diffusion.weights.checkpoint import open_checkpoint
from stable_diffusion.weights.state_dict_loading import load_networks

CPU = torch.device("cpu")
FLOAT8 = torch.float8_e4m3fn
LARGEST = 448.0
"""Of float8_e4m3fn."""
_OF_INPUTS = {"scale_weight": "scale_input", "weight_scale": "input_scale"}


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    return load_file(tiny.PATH)


def layers(tensors: Mapping[str, Tensor]) -> list[str]:
    """The linear layers of the UNet."""
    return [
        name.removesuffix(".weight")
        for name, tensor in tensors.items()
        if name.startswith("model.diffusion_model.")
        and name.endswith(".weight")
        and tensor.dim() == 2
    ]


def feed_forward(tensors: Mapping[str, Tensor]) -> str:
    """One of these layers, with a bias."""
    return next(layer for layer in layers(tensors) if f"{layer}.bias" in tensors)


def scaled(tensors: Mapping[str, Tensor], factor_name: str, *, each_row: bool) -> dict[str, Tensor]:
    """The model with its linear layers in float8, and factors beside them."""
    result = dict(tensors) | {"model.diffusion_model.scaled_fp8": torch.zeros(2, dtype=FLOAT8)}
    for layer in layers(tensors):
        weight = tensors[f"{layer}.weight"].float()
        largest = weight.abs().amax(dim=1, keepdim=True) if each_row else weight.abs().max()
        factor = largest / LARGEST
        result[f"{layer}.weight"] = (weight / factor).to(FLOAT8)
        result[f"{layer}.{factor_name}"] = factor
        result[f"{layer}.{_OF_INPUTS[factor_name]}"] = torch.ones(())
    return result


def loaded(tensors: Mapping[str, Tensor], folder: Path) -> dict[str, Tensor]:
    path = folder / "model.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return load_networks(open_checkpoint(path), TINY, CPU, torch.float32).unet.state_dict()


@pytest.mark.parametrize("factor_name", ["scale_weight", "weight_scale"])
@pytest.mark.parametrize("each_row", [True, False])
def test_float8_values_are_multiplied_by_the_factors_beside_them(
    tensors: dict[str, Tensor], tmp_path: Path, factor_name: str, *, each_row: bool
) -> None:
    exact = loaded(tensors, tmp_path)
    read = loaded(scaled(tensors, factor_name, each_row=each_row), tmp_path)
    for name, weight in exact.items():
        # three bits of mantissa: a relative error of 1/16, and the smallest values are lost
        worst = weight.abs().max() / 16
        assert (read[name] - weight).abs().max() <= worst, name


def test_plain_float8_is_a_type_like_any_other(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    cast = {name: t.to(FLOAT8) if t.dim() == 2 else t for name, t in tensors.items()}
    read = loaded(cast, tmp_path)
    for name, weight in loaded(tensors, tmp_path).items():
        if weight.dim() == 2 and name.endswith("weight"):
            assert torch.equal(read[name], weight.to(FLOAT8).float())


@pytest.mark.parametrize(
    ("name", "dtype"), [("weight", torch.int8), ("weight", torch.uint8), ("bias", torch.int32)]
)
def test_integers_are_refused(
    tensors: dict[str, Tensor], tmp_path: Path, name: str, dtype: torch.dtype
) -> None:
    key = f"{feed_forward(tensors)}.{name}"
    with pytest.raises(UnreadableModel, match=f"is stored as {str(dtype)[6:]}, "):
        loaded(tensors | {key: tensors[key].to(dtype)}, tmp_path)


@pytest.mark.parametrize(
    ("beside", "says"),
    [
        ({"weight_scale_inv": torch.ones(2, 2)}, "with unknown factors: weight_scale_inv"),
        ({"scale_weight": torch.ones(7)}, "has 7 factors in scale_weight for"),
    ],
)
def test_factors_that_are_not_known_are_refused(
    tensors: dict[str, Tensor], tmp_path: Path, beside: dict[str, Tensor], says: str
) -> None:
    layer = feed_forward(tensors)
    stored = {f"{layer}.weight": tensors[f"{layer}.weight"].to(FLOAT8)}
    factors = {f"{layer}.{name}": factor for name, factor in beside.items()}
    with pytest.raises(UnreadableModel, match=says):
        loaded(tensors | stored | factors, tmp_path)


@pytest.mark.parametrize(
    ("prefix", "title"),
    [("first_stage_model.", "autoencoder"), ("cond_stage_model.", "text encoder")],
)
def test_a_network_that_is_missing_is_named(
    tensors: dict[str, Tensor], tmp_path: Path, prefix: str, title: str
) -> None:
    rest = {name: each for name, each in tensors.items() if not name.startswith(prefix)}
    with pytest.raises(UnreadableModel, match=f"cannot be used: it has no {title}$"):
        loaded(rest, tmp_path)
