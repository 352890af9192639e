"""Another autoencoder for a model: in whatever file it comes, the pictures are decoded by it."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from safetensors.torch import load_file, save_file
from torch import Tensor

from stable_diffusion.errors import UnreadableModel
from stable_diffusion.families.tiny import TINY
from stable_diffusion.load_model import load_model
from stable_diffusion.loader import Loader
from stable_diffusion.model import Model
from stable_diffusion.networks import Networks
from stable_diffusion.weights.fingerprint import Fingerprints
from stable_diffusion.weights.saving import original_tensors
from stable_diffusion.weights.weight_cache import WeightCache
from tests.stable_diffusion.layouts import random_networks, safetensors

PREFIX = "first_stage_model."
FULL = torch.float32


@pytest.fixture(scope="module")
def other() -> Networks:
    return random_networks(TINY, seed=5)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> tuple[Networks, Path]:
    """Random networks, and the file of them."""
    networks = random_networks(TINY)
    return networks, safetensors(networks, TINY, tmp_path_factory.mktemp("own"), FULL)


@pytest.fixture
def path(own: tuple[Networks, Path], tmp_path: Path) -> Path:
    """A model, beside which there may be an autoencoder."""
    return Path(shutil.copy(own[1], tmp_path))


def original(networks: Networks, prefix: str, dtype: torch.dtype = FULL) -> dict[str, Tensor]:
    tensors = original_tensors(networks, TINY, dtype)
    return {
        prefix + name.removeprefix(PREFIX): tensor
        for name, tensor in tensors.items()
        if name.startswith(PREFIX)
    }


def diffusers_tensors(networks: Networks) -> dict[str, Tensor]:
    return {name: tensor.contiguous() for name, tensor in networks.vae.state_dict().items()}


def decodes_as(model: Model, networks: Networks, atol: float = 0.0) -> bool:
    latents = torch.randn(4, 4, 4, generator=torch.Generator().manual_seed(0))
    theirs = replace(model, networks=model.networks.with_parts(vae=networks.vae))
    return torch.allclose(model.decode(latents), theirs.decode(latents), atol=atol or 1e-5)


def without_vae(path: Path) -> Path:
    save_file({n: t for n, t in load_file(path).items() if not n.startswith(PREFIX)}, path)
    return path


def bare(networks: Networks, stem: Path) -> None:
    save_file(original(networks, ""), stem.with_suffix(".vae.safetensors"))


def prefixed(networks: Networks, stem: Path) -> None:
    save_file(original(networks, PREFIX), stem.with_suffix(".vae.safetensors"))


def pickled(networks: Networks, stem: Path) -> None:
    content = {"state_dict": original(networks, "") | {"loss.logvar": torch.zeros(())}, "epoch": 1}
    torch.save(content, stem.with_suffix(".vae.pt"))


def pickled_with_averages(networks: Networks, stem: Path) -> None:
    averages = {f"model_ema.{name}": t * 0 for name, t in original(networks, "").items()}
    torch.save(averages | original(networks, ""), stem.with_suffix(".vae.ckpt"))


def of_diffusers(networks: Networks, stem: Path) -> None:
    save_file(diffusers_tensors(networks), stem.with_suffix(".vae.safetensors"))


def whole_model(networks: Networks, stem: Path) -> None:
    save_file(original_tensors(networks, TINY, FULL), stem.with_suffix(".vae.safetensors"))


@pytest.mark.parametrize(
    "write", [bare, prefixed, pickled, pickled_with_averages, of_diffusers, whole_model]
)
def test_the_autoencoder_beside_a_model_is_used(
    path: Path, other: Networks, write: Callable[[Networks, Path], None]
) -> None:
    write(other, path.with_suffix(""))
    model = load_model(path, name="model")
    assert decodes_as(model, other)
    assert model.vae.startswith("model.vae.")


def test_a_model_without_an_autoencoder_needs_one_beside_it(path: Path, other: Networks) -> None:
    without_vae(path)
    with pytest.raises(UnreadableModel, match="it has no autoencoder"):
        load_model(path, name="model")
    for write in (bare, of_diffusers):
        write(other, path.with_suffix(""))
        assert decodes_as(load_model(path, name="model"), other)


def test_half_precision_is_read(tmp_path: Path, path: Path, other: Networks) -> None:
    save_file(original(other, "", torch.float16), tmp_path / "model.vae.safetensors")
    model = load_model(path, name="model")
    assert {p.dtype for p in model.networks.vae.parameters()} == {FULL}
    assert decodes_as(model, other, atol=0.02)


def test_a_folder_of_diffusers_is_an_autoencoder(
    tmp_path: Path, path: Path, other: Networks
) -> None:
    vae = AutoencoderKL(**TINY.part("vae").config)
    vae.load_state_dict(other.vae.state_dict())
    vae.save_pretrained(tmp_path / "mse", variant="fp16")
    model = Loader("cpu", Fingerprints()).load("model", path, vae=tmp_path / "mse")
    assert decodes_as(model, other)
    assert model.vae == "mse"


def test_the_weight_cache_does_not_confuse_autoencoders(
    tmp_path: Path, own: tuple[Networks, Path], other: Networks
) -> None:
    first, path = own
    vae = tmp_path / "other.safetensors"
    save_file(original(other, ""), vae)
    loader = Loader(
        "cpu",
        Fingerprints(tmp_path / "fingerprints.json"),
        WeightCache(tmp_path / "cache", 10**9, min_bytes=0),
    )
    for _ in ("write", "find"):
        for chosen, expected in ((None, first), (vae, other)):
            model = loader.load("model", path, vae=chosen)
            assert model.mapped
            assert decodes_as(model, expected)
            assert model.vae == (chosen.name if chosen else "")


def test_an_autoencoder_for_other_latents_is_refused_by_its_channels(
    tmp_path: Path, path: Path, other: Networks
) -> None:
    tensors = original(other, "")
    width = tensors["decoder.conv_in.weight"].shape[0]
    save_file(
        tensors | {"decoder.conv_in.weight": torch.zeros(width, 16, 3, 3)},
        tmp_path / "model.vae.safetensors",
    )
    with pytest.raises(UnreadableModel, match="latents have 16 channels, those of tiny have 4"):
        load_model(path, name="model")


def test_what_is_no_autoencoder_is_refused_by_its_name(tmp_path: Path, path: Path) -> None:
    save_file({"lora_unet_x.alpha": torch.zeros(1)}, tmp_path / "model.vae.safetensors")
    with pytest.raises(UnreadableModel, match=r"'model\.vae\.safetensors' is not an autoencoder"):
        load_model(path, name="model")
