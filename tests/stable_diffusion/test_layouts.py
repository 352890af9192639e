"""Whatever a model was written by, its weights are the same once it is loaded."""

import json
import shutil
from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from stable_diffusion.errors import UnreadableModel
from stable_diffusion.families.family import Family, Prediction
from stable_diffusion.families.tiny import TINY, TINY_V2
from stable_diffusion.load_model import load_model
from stable_diffusion.model import Model
from stable_diffusion.networks import Networks, parts_of
from tests.stable_diffusion.layouts import (
    LAYOUTS,
    Write,
    averaged,
    diffusers,
    diffusers_in_shards,
    random_networks,
    safetensors,
)

pytestmark = pytest.mark.heavy

FULL = torch.float32


# Families differ in the names of their tensors; what holds those is the same for all of them.
WRITTEN = [*((TINY, write) for write in LAYOUTS), (TINY_V2, safetensors), (TINY_V2, diffusers)]


@cache
def original(family: Family) -> Networks:
    """Shared: change nothing in it."""
    return random_networks(family)


def same(model: Model, networks: Networks, dtype: torch.dtype = FULL) -> bool:
    pairs = zip(parts_of(model.networks), parts_of(networks), strict=True)
    return all(
        torch.equal(loaded, dict(before.named_parameters())[name].to(dtype).float())
        for (_, after), (_, before) in pairs
        for name, loaded in after.named_parameters()
    )


@pytest.mark.parametrize(
    ("family", "write"),
    WRITTEN,
    ids=lambda each: each.id if isinstance(each, Family) else each.__name__,
)
def test_every_layout_gives_the_same_weights(family: Family, write: Write, tmp_path: Path) -> None:
    networks = original(family)
    path = write(networks, family, tmp_path, FULL)
    model = load_model(path, name="model")
    assert model.family is family
    assert same(model, networks)
    assert len(model.hash) == 10


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_read_in_full(tmp_path: Path, dtype: torch.dtype) -> None:
    networks = original(TINY)
    model = load_model(safetensors(networks, TINY, tmp_path, dtype), name="model")
    assert {p.dtype for _, part in parts_of(model.networks) for p in part.parameters()} == {FULL}
    assert same(model, networks, dtype)


def test_averaged_weights_are_taken_where_there_are_no_others(tmp_path: Path) -> None:
    networks = original(TINY)
    path = safetensors(networks, TINY, tmp_path, FULL)
    tensors = load_file(path)
    others = {n: t for n, t in tensors.items() if not n.startswith("model.diffusion_model.")}
    save_file(others | averaged(tensors), path)
    unet = load_model(path, name="model").networks.unet
    torch.testing.assert_close(unet.conv_in.weight, networks.unet.conv_in.weight * 0.5)


def predicts(path: Path, presumed: Prediction | None = None) -> Prediction:
    return load_model(path, name="model", prediction=presumed).prediction


def test_what_it_predicts_is_said_beside_or_inside_else_by_its_name(tmp_path: Path) -> None:
    path = safetensors(original(TINY), TINY, tmp_path, FULL)
    assert predicts(path) == "epsilon"
    assert predicts(path, "v") == "v"
    tensors = load_file(path)
    save_file(tensors, path, {"modelspec.prediction_type": "epsilon"})
    assert predicts(path, "v") == "epsilon"
    save_file(tensors | {"v_pred": torch.zeros(1)}, path)
    assert predicts(path, "epsilon") == "v"
    config = path.with_suffix(".yaml")
    config.write_text("model:\n  target: ldm\n  params:\n    linear_start: 0.00085\n")
    assert predicts(path) == "epsilon"
    config.write_text('model:\n  params:\n    parameterization: "v"\n')
    assert predicts(path, "epsilon") == "v"
    assert load_model(path, name="model").kind == "tiny-v"
    config.write_text("<!doctype html>")
    with pytest.raises(UnreadableModel, match=r"model\.yaml"):
        predicts(path)


def test_a_folders_scheduler_says_what_it_predicts(tmp_path: Path) -> None:
    path = diffusers(original(TINY), TINY, tmp_path, FULL)
    scheduler = path / "scheduler" / "scheduler_config.json"
    scheduler.write_text(json.dumps({"prediction_type": "v_prediction"}))
    assert predicts(path, "epsilon") == "v"
    scheduler.unlink()
    assert predicts(path) == "epsilon"


def test_the_shards_of_a_variant_are_read_together(tmp_path: Path) -> None:
    networks = original(TINY)
    whole = diffusers_in_shards(networks, TINY, tmp_path, FULL)
    unet = whole / "unet"
    index = json.loads((unet / "diffusion_pytorch_model.safetensors.index.json").read_text())
    renamed = {name: name.replace("model-", "model.fp16-") for name in index["weight_map"].values()}
    for old, new in renamed.items():
        (unet / old).rename(unet / new)
    index["weight_map"] = {name: renamed[file] for name, file in index["weight_map"].items()}
    (unet / "diffusion_pytorch_model.safetensors.index.json").unlink()
    variant = unet / "diffusion_pytorch_model.safetensors.index.fp16.json"
    variant.write_text(json.dumps(index))
    loaded = load_model(whole, name="model").networks.unet.state_dict()
    for name, weight in networks.unet.state_dict().items():
        assert torch.equal(loaded[name], weight)
    variant.unlink()
    with pytest.raises(UnreadableModel, match="no weights in 'unet'"):
        load_model(whole, name="model")


def test_a_folder_that_lacks_something_is_refused_by_what_it_lacks(tmp_path: Path) -> None:
    whole = diffusers_in_shards(original(TINY), TINY, tmp_path, FULL)
    index = whole / "unet" / "diffusion_pytorch_model.safetensors.index.json"
    shard = sorted((whole / "unet").glob("*-of-*.safetensors"))[1]
    kept = shard.read_bytes()
    shard.unlink()
    with pytest.raises(UnreadableModel, match=f"lacks '{shard.name}'"):
        load_model(whole, name="model")
    shard.write_bytes(kept[: len(kept) // 2])
    with pytest.raises(UnreadableModel, match=shard.name):
        load_model(whole, name="model")
    written = index.read_text()
    index.write_text(json.dumps({"weight_map": {"a": "../../secret.safetensors"}}))
    with pytest.raises(UnreadableModel, match="secret"):
        load_model(whole, name="model")
    index.write_text("<html>")
    with pytest.raises(UnreadableModel, match=r"index\.json cannot be read"):
        load_model(whole, name="model")
    index.write_text(written)
    shard.write_bytes(kept)
    shutil.rmtree(whole / "vae")
    with pytest.raises(UnreadableModel, match="no weights in 'vae'"):
        load_model(whole, name="model")
