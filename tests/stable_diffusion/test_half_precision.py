"""`precision: autocast`: another UNet, the same picture to the eye."""

import math
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from stable_diffusion import half_precision
from stable_diffusion.families.sd1 import SD1
from stable_diffusion.families.tiny import TINY
from stable_diffusion.generate import generate
from stable_diffusion.half_precision import half_type, with_half_unet
from stable_diffusion.loader import Loader
from stable_diffusion.lora import lora_size, read_lora, with_loras
from stable_diffusion.model import Model
from stable_diffusion.networks import parts_of, size_of
from stable_diffusion.preview import colour_chart
from stable_diffusion.recipe import Recipe
from stable_diffusion.tiny import PATH
from stable_diffusion.weights.fingerprint import Fingerprints
from stable_diffusion.weights.weight_cache import WeightCache

pytestmark = pytest.mark.heavy

CPU = torch.device("cpu")
FULL = Recipe(prompt="a red circle on a blue background", width=64, height=64, steps=2, seed=9)
FULL = replace(FULL, precision="full")
FAST = replace(FULL, precision="autocast")
LAYER = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_k"


@pytest.fixture(scope="module")
def both(tiny: Model) -> Model:
    """The tiny model with a UNet in bfloat16 beside the one in float32."""
    networks = with_half_unet(tiny.networks, torch.bfloat16)
    return replace(tiny, networks=networks, nbytes=size_of(networks))


@pytest.fixture
def everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half precision pays, whatever the CPU and however small the network."""
    monkeypatch.setattr(half_precision, "cpu_has_fast_bfloat16", lambda: True)
    monkeypatch.setattr("stable_diffusion.families.family._SMALL_CHANNELS", 0)


def drawn(model: Model, recipe: Recipe) -> Image.Image:
    return next(generate(model, recipe)).image


def fidelity(one: Image.Image, other: Image.Image) -> float:
    """Peak signal-to-noise ratio in dB."""
    error = numpy.asarray(one, float) - numpy.asarray(other, float)
    return 20 * math.log10(255 / math.sqrt(max(1e-9, float((error**2).mean()))))


@pytest.mark.parametrize("prompt", ["a red circle on a blue background", "a green dragon"])
def test_the_picture_is_the_same_to_the_eye(both: Model, prompt: str) -> None:
    recipes = (
        replace(recipe, prompt=prompt, width=128, height=128, steps=20) for recipe in (FULL, FAST)
    )
    full, fast = (drawn(both, recipe) for recipe in recipes)
    assert full != fast
    assert fidelity(full, fast) >= 35


def test_a_decoder_in_half_precision_shows_the_same(tiny: Model, everywhere: None) -> None:
    latents = tiny.encode(colour_chart(8))
    full = tiny.decode(latents)
    error = (tiny.decode(latents, precision="autocast") - full).square().mean()
    assert 45 < 10 * math.log10(4 / float(error)) < 100
    assert torch.equal(tiny.decode(latents), full)


def test_full_precision_does_not_feel_it(both: Model, tiny: Model) -> None:
    assert drawn(both, FULL) == drawn(tiny, FULL)


def test_mixed_is_another_name_for_it(both: Model) -> None:
    assert drawn(both, replace(FAST, precision="mixed")) == drawn(both, FAST)


def test_it_pays_on_a_cpu_that_has_it_in_hardware_for_large_networks_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(half_precision, "cpu_has_fast_bfloat16", lambda: True)
    assert half_type(SD1, CPU) == torch.bfloat16
    assert half_type(TINY, CPU) is None
    monkeypatch.setattr(half_precision, "cpu_has_fast_bfloat16", lambda: False)
    assert half_type(SD1, CPU) is None


def test_it_pays_on_every_gpu() -> None:
    for family in (SD1, TINY):
        assert half_type(family, torch.device("cuda:1")) == torch.float16


@pytest.mark.usefixtures("everywhere")
def test_a_ready_copy_has_it_too(tmp_path: Path) -> None:
    copies = WeightCache(tmp_path / "copies", 2**30, min_bytes=0)
    loader = Loader("cpu", Fingerprints(tmp_path / "fingerprints.json"), copies)
    first = loader.load("tiny", PATH)
    second = loader.load("tiny", PATH)
    assert first.networks.half_unet
    assert second.networks.half_unet
    assert {w.dtype for w in second.networks.half_unet.parameters()} == {torch.bfloat16}
    assert drawn(first, FAST) == drawn(second, FAST)
    assert drawn(first, FULL) == drawn(second, FULL)
    expected = sum(w.nbytes for _, part in parts_of(first.networks) for w in part.parameters())
    assert first.nbytes == second.nbytes == loader.estimate_bytes(PATH) == expected
    for plan in ({}, {"turbo": True}):
        planned = replace(FAST, memory_plan="optimized", **plan)
        assert drawn(second, planned) == drawn(first, FAST)


def test_a_copy_from_a_cpu_that_gains_by_it_serves_one_that_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = WeightCache(tmp_path / "copies", 2**30, min_bytes=0)
    loader = Loader("cpu", Fingerprints(tmp_path / "fingerprints.json"), copies)
    with monkeypatch.context() as patch:
        patch.setattr(half_precision, "cpu_has_fast_bfloat16", lambda: True)
        patch.setattr("stable_diffusion.families.family._SMALL_CHANNELS", 0)
        loader.load("tiny", PATH)
    model = loader.load("tiny", PATH)
    assert model.networks.half_unet is None
    assert model.nbytes == loader.estimate_bytes(PATH)
    assert drawn(model, FAST) == drawn(model, FULL)


def test_a_lora_changes_both(both: Model, tmp_path: Path) -> None:
    weight = both.networks.unet.get_parameter(f"{LAYER}.weight").detach()
    names = (f"unet.{LAYER}.lora_B.weight", f"unet.{LAYER}.lora_A.weight")
    tensors = (torch.randn(weight.shape[0], 4), torch.randn(4, weight.shape[1]))
    path = tmp_path / "style.safetensors"
    save_file(dict(zip(names, tensors, strict=True)), path)
    lora = read_lora(path)
    made = with_loras(both, [(lora, 1.0)])
    assert made.networks.half_unet
    changed = made.networks.half_unet.get_parameter(f"{LAYER}.weight")
    torch.testing.assert_close(changed.detach(), (weight + tensors[0] @ tensors[1]).bfloat16())
    assert made.nbytes == lora_size(both, [lora]) == weight.numel() * (4 + 2)
    assert drawn(made, FAST) != drawn(both, FAST)
    assert made.networks.half_unet.get_parameter("conv_in.weight") is (
        both.networks.half_unet and both.networks.half_unet.get_parameter("conv_in.weight")
    )
