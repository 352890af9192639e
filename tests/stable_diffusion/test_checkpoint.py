"""Checkpoints in the original layout: what goes out comes back, what is broken is refused."""

import pickle
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from diffusers.loaders.single_file_utils import (
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel

from stable_diffusion.errors import ModelNotFound, UnreadableModel
from stable_diffusion.model import load_model
from stable_diffusion.networks import Networks, build_networks
from stable_diffusion.variants import STABLE_DIFFUSION_1, STABLE_DIFFUSION_2, TINY, TINY_V2, Variant
from stable_diffusion.weights.checkpoint import open_checkpoint
from stable_diffusion.weights.kinds import identify
from stable_diffusion.weights.layout import Layout
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


def test_the_kind_of_a_model_is_told_from_its_tensors(file: Path) -> None:
    assert identify(open_checkpoint(file)) is TINY


def test_the_names_in_the_file_are_those_diffusers_reads(networks: Networks, file: Path) -> None:
    tensors = load_file(file)
    unet = convert_ldm_unet_checkpoint(dict(tensors), {**TINY.unet, "class_embed_type": None})
    expected = networks.unet.state_dict()
    assert unet.keys() == expected.keys()
    assert all(torch.equal(unet[name], expected[name]) for name in expected)
    vae = convert_ldm_vae_checkpoint(dict(tensors), TINY.vae)
    expected = networks.vae.state_dict()
    assert vae.keys() == expected.keys()
    assert all(torch.equal(vae[name], expected[name]) for name in expected)


def test_others_find_our_text_in_the_penultimate_layer_of_an_sd2_file(tmp_path: Path) -> None:
    torch.manual_seed(1)
    networks = build_networks(TINY_V2)
    file = tmp_path / "v2.safetensors"
    save_checkpoint(networks, TINY_V2, file, "v", dtype=torch.float32)
    whole = CLIPTextConfig(**{**TINY_V2.text, "num_hidden_layers": 4})
    text = CLIPTextModel(whole)
    converted = convert_open_clip_checkpoint(text, load_file(file))
    text.load_state_dict({n.removeprefix("text_model."): w for n, w in converted.items()})
    ids = torch.tensor([[49406, 736, 5471, 49407, *[0] * 73]])
    with torch.inference_mode():
        states = text(ids, output_hidden_states=True).hidden_states
        penultimate = text.final_layer_norm(states[-2])
        ours = load_model(file, name="v2").encode_text(ids)
    torch.testing.assert_close(ours, penultimate)


@pytest.mark.parametrize("variant", [STABLE_DIFFUSION_1, STABLE_DIFFUSION_2], ids=lambda v: v.name)
def test_full_size_networks_have_the_original_names(variant: Variant) -> None:
    with torch.device("meta"):
        networks = build_networks(variant)
    layout = Layout(variant)
    unet = {layout.unet(name).name for name, _ in networks.unet.named_parameters()}
    vae = {layout.vae(name).name for name, _ in networks.vae.named_parameters()}
    text = {layout.text(name).name for name, _ in networks.text.named_parameters()}
    # counted in the published v1-5-pruned-emaonly and v2-1_512-ema-pruned files
    assert len(unet) == 686
    assert len(vae) == 248
    assert "model.diffusion_model.output_blocks.8.2.conv.weight" in unet
    assert "model.diffusion_model.output_blocks.2.1.conv.weight" in unet
    assert "model.diffusion_model.input_blocks.9.0.op.bias" in unet
    assert "first_stage_model.decoder.up.1.block.0.nin_shortcut.weight" in vae
    assert "first_stage_model.encoder.mid.attn_1.proj_out.weight" in vae
    if variant is STABLE_DIFFUSION_1:
        start = "cond_stage_model.transformer.text_model."
        assert f"{start}encoder.layers.11.self_attn.q_proj.weight" in text
        assert f"{start}embeddings.token_embedding.weight" in text
    else:
        start = "cond_stage_model.model."
        assert f"{start}transformer.resblocks.22.attn.in_proj_weight" in text
        assert {f"{start}positional_embedding", f"{start}ln_final.bias"} <= text


def test_a_checkpoint_pickled_by_torch_opens_too(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "old.ckpt"
    torch.save({"state_dict": load_file(file), "global_step": 7}, path)
    assert load_model(path, name="old").variant is TINY


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
