"""Checkpoints in the original layout: what goes out comes back, what is broken is refused."""

import pickle
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from stable_diffusion.errors import ModelNotFound, UnreadableModel
from stable_diffusion.families.tiny import TINY
from stable_diffusion.load_model import load_model
from stable_diffusion.networks import Networks, build_networks
from stable_diffusion.weights.checkpoint import open_checkpoint
from stable_diffusion.weights.saving import save_checkpoint
from stable_diffusion.weights.state_dict_loading import load_networks

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def networks() -> Networks:
    torch.manual_seed(0)
    return build_networks(TINY)


@pytest.fixture(scope="module")
def file(networks: Networks, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "random.safetensors"
    save_checkpoint(networks, TINY, path, dtype=torch.float32)
    return path


def _states(networks: Networks) -> list[Mapping[str, torch.Tensor]]:
    return [part.state_dict() for part in (networks.text, networks.unet, networks.vae)]


def test_a_saved_model_comes_back_to_the_bit(networks: Networks, file: Path) -> None:
    loaded = load_networks(open_checkpoint(file), TINY, CPU, torch.float32)
    for before, after in zip(_states(networks), _states(loaded), strict=True):
        assert before.keys() == after.keys()
        assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_checkpoint_pickled_by_torch_opens_too(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "old.ckpt"
    torch.save({"state_dict": load_file(file), "global_step": 7}, path)
    assert load_model(path, name="old").family is TINY


def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    canary = tmp_path / "canary"

    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (canary,)

    path = tmp_path / "evil.ckpt"
    with path.open("wb") as out:
        pickle.dump({"state_dict": Trap()}, out)
    with pytest.raises(UnreadableModel, match=r"evil\.ckpt"):
        load_model(path, name="evil")
    torch.save({"state_dict": Trap()}, path)
    with pytest.raises(UnreadableModel, match=r"evil\.ckpt"):
        load_model(path, name="evil")
    assert not canary.exists()


@pytest.mark.parametrize("suffix", ["safetensors", "ckpt"])
@pytest.mark.parametrize(
    "content",
    [b"", b"<!doctype html><title>404</title>", b"\x00" * 64, b"PK\x03\x04 not a zip"],
    ids=["empty", "html", "zeros", "zip"],
)
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"broken.{suffix}"
    path.write_bytes(content)
    with pytest.raises(UnreadableModel, match="broken"):
        load_model(path, name="broken")


def test_a_truncated_file_is_refused(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    path.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(UnreadableModel, match="half"):
        load_model(path, name="half")


def test_missing_and_misshapen_tensors_are_named(file: Path, tmp_path: Path) -> None:
    tensors = load_file(file)
    del tensors["model.diffusion_model.out.2.bias"]
    tensors["first_stage_model.quant_conv.bias"] = torch.zeros(3)
    path = tmp_path / "partial.safetensors"
    save_file(tensors, path)
    with pytest.raises(UnreadableModel) as refusal:
        load_model(path, name="partial")
    assert "model.diffusion_model.out.2.bias is missing" in str(refusal.value)
    assert "quant_conv.bias has shape (3,), not (8,)" in str(refusal.value)


def test_another_networks_file_is_refused_with_what_was_found(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"layer.weight": torch.zeros(2)}, path)
    with pytest.raises(UnreadableModel, match=r"layer\.weight"):
        load_model(path, name="other")


def test_a_model_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"gone\.safetensors"):
        load_model(tmp_path / "gone.safetensors", name="gone")
