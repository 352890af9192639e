"""`precision: autocast`: a UNet of other numbers, the same picture to the eye."""

import math
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from stable_diffusion import half_precision
from stable_diffusion.errors import UnreadableModel
from stable_diffusion.families.sd1 import SD1
from stable_diffusion.families.tiny import TINY
from stable_diffusion.generate import generate
from stable_diffusion.half_precision import half_type
from stable_diffusion.loader import Loader
from stable_diffusion.lora import lora_size, read_lora, with_loras
from stable_diffusion.model import Model
from stable_diffusion.networks import parts_of
from stable_diffusion.preview import colour_chart
from stable_diffusion.recipe import Recipe
from stable_diffusion.tiny import PATH
from stable_diffusion.weights.fingerprint import Fingerprints
from stable_diffusion.weights.weight_cache import WeightCache
from tests.stable_diffusion.layouts import with_unet_in

pytestmark = pytest.mark.heavy

CPU = torch.device("cpu")
FULL = Recipe(prompt="a red circle on a blue background", width=64, height=64, steps=2, seed=9)
FULL = replace(FULL, precision="full")
FAST = replace(FULL, precision="autocast")
LAYER = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_k"


@pytest.fixture(scope="module")
def half(tiny: Model) -> Model:
    """The tiny model with its UNet in bfloat16."""
    return replace(tiny, networks=with_unet_in(tiny.networks, torch.bfloat16))


@pytest.fixture
def everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half precision pays, whatever the CPU and however small the network."""
    monkeypatch.setattr(half_precision, "cpu_has_fast_bfloat16", lambda: True)
    monkeypatch.setattr("stable_diffusion.families.family._SMALL_CHANNELS", 0)


def loader(tmp_path: Path) -> Loader:
    copies = WeightCache(tmp_path / "copies", 2**30, min_bytes=0)
    return Loader("cpu", Fingerprints(tmp_path / "fingerprints.json"), copies)


def drawn(model: Model, recipe: Recipe) -> Image.Image:
    return next(generate(model, recipe)).image


def fidelity(one: Image.Image, other: Image.Image) -> float:
    """Peak signal-to-noise ratio in dB."""
    error = numpy.asarray(one, float) - numpy.asarray(other, float)
    return 20 * math.log10(255 / math.sqrt(max(1e-9, float((error**2).mean()))))


@pytest.mark.parametrize("prompt", ["a red circle on a blue background", "a green dragon"])
def test_the_picture_is_the_same_to_the_eye(tiny: Model, half: Model, prompt: str) -> None:
    large = {"prompt": prompt, "width": 128, "height": 128, "steps": 20}
    full, fast = drawn(tiny, replace(FULL, **large)), drawn(half, replace(FAST, **large))
    assert full != fast
    assert fidelity(full, fast) >= 35


def test_a_decoder_in_half_precision_shows_the_same(tiny: Model, everywhere: None) -> None:
    latents = tiny.encode(colour_chart(8))
    full = tiny.decode(latents)
    error = (tiny.decode(latents, precision="autocast") - full).square().mean()
    assert 45 < 10 * math.log10(4 / float(error)) < 100
    assert torch.equal(tiny.decode(latents), full)


def test_mixed_is_another_name_for_it(half: Model) -> None:
    assert drawn(half, replace(FAST, precision="mixed")) == drawn(half, FAST)


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
def test_a_ready_copy_has_the_unet_of_one_precision_alone(
    tmp_path: Path, tiny: Model, half: Model
) -> None:
    models = loader(tmp_path)
    first, second = (models.load("tiny", PATH) for _ in range(2))
    (copy,) = (tmp_path / "copies").glob("*.safetensors")
    for model in (first, second):
        assert {w.dtype for w in model.networks.unet.parameters()} == {torch.bfloat16}
        assert {w.dtype for w in model.networks.vae.parameters()} == {torch.float32}
        expected = sum(w.nbytes for _, part in parts_of(model.networks) for w in part.parameters())
        assert model.nbytes == models.estimate_bytes(PATH) == expected
        assert drawn(model, FAST) == drawn(half, FAST)
    assert copy.stat().st_size < expected + 2**21
    for plan in ({}, {"turbo": True}):
        planned = replace(FAST, memory_plan="optimized", **plan)
        assert drawn(second, planned) == drawn(first, FAST)
    full = [models.load("tiny", PATH, full=True) for _ in range(2)]
    assert [drawn(model, FULL) for model in full] == [drawn(tiny, FULL)] * 2
    assert full[0].nbytes == models.estimate_bytes(PATH, full=True) > expected


def test_a_copy_from_a_cpu_that_gains_by_it_is_not_for_one_that_does_not(
    tmp_path: Path, tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = loader(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(half_precision, "cpu_has_fast_bfloat16", lambda: True)
        patch.setattr("stable_diffusion.families.family._SMALL_CHANNELS", 0)
        models.load("tiny", PATH)
    model = models.load("tiny", PATH)
    assert model.nbytes == models.estimate_bytes(PATH)
    assert drawn(model, FAST) == drawn(model, FULL) == drawn(tiny, FULL)


@pytest.fixture
def style(tiny: Model, tmp_path: Path) -> Path:
    """A LoRA of one layer."""
    weight = tiny.networks.unet.get_parameter(f"{LAYER}.weight")
    names = (f"unet.{LAYER}.lora_B.weight", f"unet.{LAYER}.lora_A.weight")
    tensors = (torch.randn(weight.shape[0], 4), torch.randn(4, weight.shape[1]))
    path = tmp_path / "style.safetensors"
    save_file(dict(zip(names, tensors, strict=True)), path)
    return path


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
def test_a_lora_is_added_to_the_weights_of_the_file_and_then_rounded(
    tmp_path: Path, tiny: Model, style: Path, suffix: str
) -> None:
    path = tmp_path / f"model{suffix}"
    if suffix == ".ckpt":
        torch.save(load_file(PATH), path)
    else:
        path.write_bytes(PATH.read_bytes())
    lora = read_lora(style)
    exact = with_loras(tiny, [(lora, 1.0)]).networks.unet
    model = loader(tmp_path).load("model", path)
    for folder in (None, tmp_path / "cache"):
        made = with_loras(model, [(lora, 1.0)], folder, min_bytes=0)
        for name, weight in made.networks.unet.named_parameters():
            assert weight.equal(exact.get_parameter(name).bfloat16())
        changed = made.networks.unet.get_parameter(f"{LAYER}.weight")
        assert made.nbytes == lora_size(model, [lora]) == changed.nbytes == 2 * changed.numel()
        assert made.networks.unet.conv_in.weight is model.networks.unet.conv_in.weight
        assert drawn(made, FAST) != drawn(model, FAST)


@pytest.mark.usefixtures("everywhere")
def test_a_lora_is_not_added_to_the_weights_of_another_file(tmp_path: Path, style: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(PATH.read_bytes())
    model = loader(tmp_path).load("model", path)
    tensors = load_file(path)
    tensors["model.diffusion_model.out.2.bias"] += 1
    save_file(tensors, path)
    with pytest.raises(UnreadableModel, match="replaced"):
        with_loras(model, [(read_lora(style), 1.0)])
