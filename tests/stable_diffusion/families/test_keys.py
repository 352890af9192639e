"""The names of tensors in checkpoints: the published ones, those that diffusers reads, and ours."""

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

from stable_diffusion.families import FAMILIES
from stable_diffusion.families.family import Family
from stable_diffusion.families.parts.part import StoredTensor
from stable_diffusion.families.sd1 import SD1
from stable_diffusion.families.sd2 import SD2
from stable_diffusion.families.tiny import TINY, TINY_V2
from stable_diffusion.load_model import load_model
from stable_diffusion.networks import build_networks, parts_of
from stable_diffusion.weights.checkpoint import open_checkpoint
from stable_diffusion.weights.saving import save_checkpoint
from stable_diffusion.weights.state_dict_loading import load_networks
from tests.stable_diffusion.layouts import empty, random_networks, safetensors

CPU = torch.device("cpu")


def keys(family: Family, part: str) -> set[str]:
    module = empty(family).parts[part]
    return {family.part(part).original(name).key for name, _ in module.named_parameters()}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.id)
def test_every_parameter_has_a_key_of_its_own(family: Family) -> None:
    networks = empty(family)
    for layout in ("original", "diffusers"):
        stored: list[StoredTensor] = [
            part.stored(name, layout)
            for part in family.parts
            for name, _ in networks.parts[part.name].named_parameters()
        ]
        assert len(set(stored)) == len(stored)


@pytest.mark.parametrize("family", [TINY, TINY_V2], ids=lambda family: family.id)
def test_what_is_written_is_read_back_to_the_bit(family: Family, tmp_path: Path) -> None:
    written = random_networks(family)
    path = tmp_path / "model.safetensors"
    save_checkpoint(written, family, path, dtype=torch.float32)
    read = load_networks(open_checkpoint(path), family, CPU, torch.float32)
    for (name, before), (_, after) in zip(parts_of(written), parts_of(read), strict=True):
        expected, found = before.state_dict(), after.state_dict()
        assert expected.keys() == found.keys(), name
        assert all(torch.equal(expected[key], found[key]) for key in expected), name


@pytest.mark.parametrize("family", [SD1, SD2], ids=lambda family: family.id)
def test_full_size_networks_have_the_original_names(family: Family) -> None:
    unet, vae, text = (keys(family, part) for part in ("unet", "vae", "text"))
    # counted in the published v1-5-pruned-emaonly and v2-1_512-ema-pruned files
    assert len(unet) == 686
    assert len(vae) == 248
    assert "model.diffusion_model.output_blocks.8.2.conv.weight" in unet
    assert "model.diffusion_model.output_blocks.2.1.conv.weight" in unet
    assert "model.diffusion_model.input_blocks.9.0.op.bias" in unet
    assert "first_stage_model.decoder.up.1.block.0.nin_shortcut.weight" in vae
    assert "first_stage_model.encoder.mid.attn_1.proj_out.weight" in vae
    if family is SD1:
        start = "cond_stage_model.transformer.text_model."
        assert f"{start}encoder.layers.11.self_attn.q_proj.weight" in text
        assert f"{start}embeddings.token_embedding.weight" in text
    else:
        start = "cond_stage_model.model."
        assert f"{start}transformer.resblocks.22.attn.in_proj_weight" in text
        assert {f"{start}positional_embedding", f"{start}ln_final.bias"} <= text


def test_the_names_in_the_file_are_those_diffusers_reads(tmp_path: Path) -> None:
    networks = random_networks(TINY)
    tensors = load_file(safetensors(networks, TINY, tmp_path, torch.float32))
    config = {**TINY.part("unet").config, "class_embed_type": None}
    unet = convert_ldm_unet_checkpoint(dict(tensors), config)
    expected = networks.unet.state_dict()
    assert unet.keys() == expected.keys()
    assert all(torch.equal(unet[name], expected[name]) for name in expected)
    vae = convert_ldm_vae_checkpoint(dict(tensors), TINY.part("vae").config)
    expected = networks.vae.state_dict()
    assert vae.keys() == expected.keys()
    assert all(torch.equal(vae[name], expected[name]) for name in expected)


def test_others_find_our_text_in_the_penultimate_layer_of_an_sd2_file(tmp_path: Path) -> None:
    torch.manual_seed(1)
    networks = build_networks(TINY_V2)
    file = tmp_path / "v2.safetensors"
    save_checkpoint(networks, TINY_V2, file, "v", dtype=torch.float32)
    whole = CLIPTextConfig(**{**TINY_V2.part("text").config, "num_hidden_layers": 4})
    text = CLIPTextModel(whole)
    converted = convert_open_clip_checkpoint(text, load_file(file))
    text.load_state_dict({n.removeprefix("text_model."): w for n, w in converted.items()})
    ids = torch.tensor([[49406, 736, 5471, 49407, *[0] * 73]])
    with torch.inference_mode():
        states = text(ids, output_hidden_states=True).hidden_states
        penultimate = text.final_layer_norm(states[-2])
        ours = load_model(file, name="v2").encode_text(ids)
    torch.testing.assert_close(ours, penultimate)


@pytest.mark.parametrize(
    ("key", "alternative"),
    [
        ("cond_stage_model.transformer.text_model.x", "cond_stage_model.transformer.x"),
        (
            "cond_stage_model.transformer.text_model.x",
            "conditioner.embedders.0.transformer.text_model.x",
        ),
        ("text_encoder.text_model.x", "text_encoder.x"),
        ("vae.encoder.attentions.0.to_q.weight", "vae.encoder.attentions.0.query.weight"),
        ("vae.encoder.attentions.0.to_out.0.bias", "vae.encoder.attentions.0.proj_attn.bias"),
        ("model.diffusion_model.out.2.bias", "model_ema.diffusion_modelout2bias"),
    ],
)
def test_other_programs_keys_are_found(key: str, alternative: str) -> None:
    assert alternative in [other for part in SD1.parts for other in part.alternative_keys(key)]


def test_old_spellings_of_the_text_encoder_are_read(tmp_path: Path) -> None:
    networks = random_networks(TINY)
    path = safetensors(networks, TINY, tmp_path, torch.float32)
    tensors = load_file(path)
    save_file(
        {n.replace("transformer.text_model.", "transformer."): t for n, t in tensors.items()}, path
    )
    loaded = load_model(path, name="model").networks
    for (_, after), (_, before) in zip(parts_of(loaded), parts_of(networks), strict=True):
        expected = dict(before.named_parameters())
        assert all(torch.equal(weight, expected[n]) for n, weight in after.named_parameters())
