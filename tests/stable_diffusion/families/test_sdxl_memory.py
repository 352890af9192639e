"""Stable Diffusion XL in main memory: its weights stay as the file has them."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from stable_diffusion import families, half_precision
from stable_diffusion.families.sdxl import LATENTS
from stable_diffusion.generate import generate
from stable_diffusion.load_model import load_model
from stable_diffusion.loader import Loader
from stable_diffusion.lora import lora_size, read_lora, with_loras
from stable_diffusion.model import Model
from stable_diffusion.networks import decoded, size_of
from stable_diffusion.recipe import Recipe
from stable_diffusion.shared_weights import clone_sharing_weights
from stable_diffusion.weights.fingerprint import Fingerprints
from stable_diffusion.weights.weight_cache import WeightCache
from tests.stable_diffusion import layouts, small_xl
from tests.stable_diffusion.small_xl import SMALL

FULL = Recipe(prompt="a red circle", width=64, height=64, steps=2, seed=9, precision="full")
FAST = replace(FULL, precision="autocast")
LAYER = "mid_block.attentions.0.proj_in"
FLOAT8 = torch.float8_e4m3fn


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(families, "FAMILIES", (*families.FAMILIES, *small_xl.FAMILIES))


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file in float16."""
    folder = tmp_path_factory.mktemp("half")
    return layouts.safetensors(small_xl.networks_of(SMALL), SMALL, folder, torch.float16)


@pytest.fixture(scope="module")
def model(half: Path) -> Model:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(families, "FAMILIES", (*families.FAMILIES, *small_xl.FAMILIES))
        return load_model(half, name="model")


@pytest.fixture
def bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU that has it in hardware, and for which no network is too small."""
    monkeypatch.setattr(half_precision, "cpu_has_fast_bfloat16", lambda: True)
    monkeypatch.setattr("stable_diffusion.families.family._SMALL_CHANNELS", 0)


def changed(file: Path, path: Path, change: Callable[[str, Tensor], dict[str, Tensor]]) -> Path:
    """A file with other tensors in place of each."""
    tensors = load_file(file).items()
    save_file({key: t for name, each in tensors for key, t in change(name, each).items()}, path)
    return path


def drawn(model: Model, recipe: Recipe) -> Image.Image:
    return next(generate(model, recipe)).image


def fidelity(one: Image.Image, other: Image.Image) -> float:
    """Peak signal-to-noise ratio in dB."""
    error = numpy.asarray(one, float) - numpy.asarray(other, float)
    return 20 * math.log10(255 / math.sqrt(max(1e-9, float((error**2).mean()))))


def types(model: Model) -> dict[str, set[torch.dtype]]:
    return {
        name: {weight.dtype for weight in network.parameters() if weight.dim() > 1}
        for name, network in model.networks.parts.items()
    }


@pytest.mark.usefixtures("bfloat16")
def test_layers_keep_half_precision_and_compute_in_that_of_the_job(
    half: Path, model: Model, tmp_path: Path
) -> None:
    wide = changed(half, tmp_path / "wide.safetensors", lambda name, t: {name: t.float()})
    expected = load_model(wide, name="model")
    assert types(model) == {
        # of the embeddings, of which a few rows are read
        "text": {torch.float16, torch.float32},
        "text_2": {torch.float16, torch.float32},
        "unet": {torch.float16},
        "vae": {torch.float32},
    }
    assert drawn(model, FULL) == drawn(expected, FULL)
    seen: set[torch.dtype] = set()
    hook = model.networks.unet.register_forward_pre_hook(
        lambda _, inputs: seen.add(inputs[0].dtype)
    )
    fast = drawn(model, FAST)
    hook.remove()
    assert seen == {torch.bfloat16}
    assert fast != drawn(model, FULL)
    assert fidelity(fast, drawn(model, FULL)) > 30


def test_the_weight_cache_is_written_while_a_file_is_read(
    half: Path, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = WeightCache(tmp_path / "cache", 2**30, min_bytes=0)
    loader = Loader("cpu", Fingerprints(), cache)
    told: list[float] = []
    first = loader.load("model", half, on_progress=told.append)
    assert told[-1] == 1
    monkeypatch.setattr("stable_diffusion.loader.read_weights", lambda *_, **__: pytest.fail())
    second = loader.load("model", half)
    assert first.mapped
    assert second.mapped
    assert types(first) == types(second) == types(model)
    assert first.nbytes == loader.estimate_bytes(half) == size_of(first.networks)
    expected = drawn(model, FAST)
    for plan in ({}, {"memory_plan": "optimized"}, {"memory_plan": "optimized", "turbo": True}):
        assert drawn(second, replace(FAST, **plan)) == expected


def test_it_loads_without_room_for_an_entry(half: Path, model: Model, tmp_path: Path) -> None:
    loader = Loader("cpu", Fingerprints(), WeightCache(tmp_path / "cache", 1000, min_bytes=0))
    loaded = loader.load("model", half)
    assert not loaded.mapped
    assert types(loaded) == types(model)
    assert not list(tmp_path.rglob("*.*"))


def test_float8_with_factors_is_kept_in_float16(half: Path, model: Model, tmp_path: Path) -> None:
    def in_float8(name: str, tensor: Tensor) -> dict[str, Tensor]:
        if "diffusion_model" not in name or tensor.dim() != 2:
            return {name: tensor}
        factor = tensor.abs().max().float() / 448
        layer = name.removesuffix(".weight")
        return {name: (tensor.float() / factor).to(FLOAT8), f"{layer}.scale_weight": factor}

    file = changed(half, tmp_path / "float8.safetensors", in_float8)
    cache = WeightCache(tmp_path / "cache", 2**30, min_bytes=0)
    loader = Loader("cpu", Fingerprints(), cache)
    loaded = loader.load("model", file)
    assert types(loaded) == types(model)
    assert loaded.nbytes == loader.estimate_bytes(file) == model.nbytes
    assert fidelity(drawn(loaded, FULL), drawn(model, FULL)) > 25


def test_an_autoencoder_that_exceeds_float16_gives_a_picture(half: Path, tmp_path: Path) -> None:
    def louder(name: str, tensor: Tensor) -> dict[str, Tensor]:
        return {name: tensor * 5e4 if name.endswith("decoder.conv_in.weight") else tensor}

    loud = load_model(changed(half, tmp_path / "loud.safetensors", louder), name="model")
    latents = torch.randn(4, 8, 8)
    narrow = clone_sharing_weights(
        loud.networks.vae, {n: w.half() for n, w in loud.networks.vae.named_parameters()}
    )
    assert not decoded(narrow, latents[None].half() / LATENTS.scale).isfinite().all()
    assert loud.decode(latents, precision="autocast").isfinite().all()


def test_a_lora_takes_no_more_than_the_weights_that_it_changes(
    model: Model, tmp_path: Path
) -> None:
    weight = model.networks.unet.get_parameter(f"{LAYER}.weight").detach()
    pair = torch.randn(weight.shape[0], 4), torch.randn(4, weight.shape[1])
    names = f"unet.{LAYER}.lora_B.weight", f"unet.{LAYER}.lora_A.weight"
    path = tmp_path / "style.safetensors"
    save_file(dict(zip(names, pair, strict=True)), path)
    lora = read_lora(path)
    made = with_loras(model, [(lora, 1.0)])
    own = made.networks.unet.get_parameter(f"{LAYER}.weight").detach()
    torch.testing.assert_close(own, (weight.float() + pair[0] @ pair[1]).half())
    assert made.nbytes == lora_size(model, [lora]) == 2 * weight.numel()
    assert drawn(made, FULL) != drawn(model, FULL)
