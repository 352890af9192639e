"""Stable Diffusion XL's tensors: their published names, and that none is left over."""

from pathlib import Path

import torch
from diffusers.loaders.single_file_utils import (
    convert_ldm_unet_checkpoint,
    convert_open_clip_checkpoint,
)
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

from stable_diffusion.families.sdxl import BASE, FAMILIES, REFINER
from stable_diffusion.weights.checkpoint import Checkpoint
from stable_diffusion.weights.saving import original_tensors
from stable_diffusion.weights.state_dict_loading import unused_tensors
from tests.stable_diffusion.layouts import empty, random_networks
from tests.stable_diffusion.small_xl import SMALL

FURTHER = {
    "conditioner.embedders.0.transformer.text_model.embeddings.position_ids",
    "conditioner.embedders.1.model.logit_scale",
}


def test_every_tensor_of_a_full_size_file_has_its_place() -> None:
    found = {
        part.name: {
            part.original(n).key for n, _ in empty(BASE).parts[part.name].named_parameters()
        }
        for part in BASE.parts
    }
    # counted in the published sd_xl_base_1.0.safetensors, which has 2515 tensors
    counts = {name: len(keys) for name, keys in found.items()}
    assert counts == {"text": 196, "text_2": 389, "unet": 1680, "vae": 248}
    names = frozenset[str]().union(*found.values(), FURTHER)
    assert len(names) == 2515
    file = Checkpoint(Path("base"), names, lambda _: torch.zeros(1), {})
    assert set(unused_tensors(file, BASE)) == FURTHER
    assert {
        "conditioner.embedders.0.transformer.text_model.encoder.layers.11.mlp.fc2.bias",
        "conditioner.embedders.1.model.transformer.resblocks.31.attn.in_proj_weight",
        "conditioner.embedders.1.model.text_projection",
        "model.diffusion_model.label_emb.0.2.weight",
        "model.diffusion_model.middle_block.1.transformer_blocks.9.attn2.to_k.weight",
        "model.diffusion_model.output_blocks.5.2.conv.bias",
        "first_stage_model.post_quant_conv.weight",
    } <= names


def test_networks_have_the_published_sizes() -> None:
    millions = {
        family.id: [
            round(sum(w.numel() for w in empty(family).parts[p.name].parameters()) / 1e6)
            for p in family.parts
        ]
        for family in (BASE, REFINER)
    }
    assert millions == {"sdxl": [123, 695, 2567, 84], "sdxl-refiner": [695, 2260, 84]}
    assert [family.id for family in FAMILIES] == [
        "sdxl",
        "sdxl-inpaint",
        "sdxl-instruct",
        "sdxl-lcm",
        "sdxl-refiner",
    ]


def same(found: dict[str, Tensor], module: nn.Module) -> bool:
    expected = module.state_dict()
    assert found.keys() == expected.keys()
    return all(torch.equal(found[name], expected[name]) for name in expected)


def test_the_names_in_a_file_are_those_diffusers_reads() -> None:
    networks = random_networks(SMALL)
    tensors = original_tensors(networks, SMALL, torch.float32)
    config = {**SMALL.part("unet").config, "class_embed_type": None}
    assert same(convert_ldm_unet_checkpoint(dict(tensors), config), networks.unet)
    theirs = CLIPTextModelWithProjection(CLIPTextConfig(**SMALL.part("text_2").config))
    second = convert_open_clip_checkpoint(theirs, tensors, "conditioner.embedders.1.model.")
    ours = {name.removeprefix("text_model."): weight for name, weight in second.items()}
    assert same(ours, networks.parts["text_2"])
