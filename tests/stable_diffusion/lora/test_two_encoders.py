"""A LoRA for Stable Diffusion XL changes both text encoders and the UNet as in diffusers."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from stable_diffusion.load_model import build_model
from stable_diffusion.lora import read_lora, with_loras
from stable_diffusion.model import Model
from stable_diffusion.textual_inversion import embedding_width, with_embeddings
from stable_diffusion.weights.reading import Weights
from tests.stable_diffusion import small_xl
from tests.stable_diffusion.small_xl import SMALL

UNET = {
    "down_blocks.1.attentions.0.transformer_blocks.1.attn2.to_k": "input_blocks.3.1",
    "mid_block.attentions.0.transformer_blocks.2.ff.net.2": "middle_block.1",
    "up_blocks.0.attentions.1.proj_in": "output_blocks.1.1",
}
"""Layers, and what sgm calls their blocks where a level has one residual layer."""
TEXT = "encoder.layers.1.self_attn.out_proj"
METADATA = {"unet.lora_alpha": 2, "text_encoder.lora_alpha": 6, "text_encoder_2.lora_alpha": 3}


@pytest.fixture(scope="module")
def base() -> Model:
    weights = Weights(SMALL, small_xl.networks_of(SMALL), "epsilon")
    return build_model(weights, Path("base"), name="base", fingerprint="0")


def kohya(start: str, layer: str) -> tuple[str, str]:
    name = start + layer.replace(".", "_")
    return f"{name}.lora_down.weight", f"{name}.lora_up.weight"


def peft(start: str, layer: str) -> tuple[str, str]:
    return f"{start}.{layer}.lora_A.weight", f"{start}.{layer}.lora_B.weight"


def sgm(layer: str) -> str:
    block = layer.partition(".attentions.")[2].partition(".")[2]
    return f"{UNET[layer]}.{block}"


def names(spelling: str) -> dict[tuple[str, str], tuple[str, str]]:
    """What the factors of a part's layer are called."""
    text = f"text_model.{TEXT}"
    if spelling == "peft":
        rest = {("text", TEXT): peft("text_encoder", text)}
        rest[("text_2", TEXT)] = peft("text_encoder_2", text)
        return {("unet", layer): peft("unet", layer) for layer in UNET} | rest
    rest = {("text", TEXT): kohya("lora_te1_", text), ("text_2", TEXT): kohya("lora_te2_", text)}
    spelled = sgm if spelling == "sgm" else str
    return {("unet", layer): kohya("lora_unet_", spelled(layer)) for layer in UNET} | rest


def write(model: Model, spelling: str, path: Path) -> None:
    draw = torch.Generator().manual_seed(5)
    tensors: dict[str, Tensor] = {}
    for (part, layer), (down, up) in names(spelling).items():
        out, read = model.networks.parts[part].get_parameter(f"{layer}.weight").shape
        tensors[down] = torch.randn(4, read, generator=draw) / 2
        tensors[up] = torch.randn(out, 4, generator=draw) / 2
        if spelling != "peft":
            tensors[up.replace("lora_up.weight", "alpha")] = torch.tensor(2.0)
    config = {f"{part}.r": 4 for part in ("unet", "text_encoder", "text_encoder_2")}
    target = {"unet.target_modules": [*UNET]}
    target |= {f"text_encoder{end}.target_modules": ["out_proj"] for end in ("", "_2")}
    metadata = {"lora_adapter_metadata": json.dumps({**config, **METADATA, **target})}
    save_file(tensors, path, metadata if spelling == "peft" else None)


@pytest.mark.parametrize("spelling", ["sgm", "diffusers", "peft"])
def test_it_is_what_diffusers_makes_of_the_same_file(
    base: Model, spelling: str, tmp_path: Path
) -> None:
    path = tmp_path / "ink.safetensors"
    write(base, spelling, path)
    parts = small_xl.components(base.networks, SMALL, "epsilon")
    pipeline = small_xl.text_to_image(parts)
    pipeline.load_lora_weights(str(path), adapter_name="ink")
    pipeline.set_adapters(["ink"], [0.8])
    ours = with_loras(base, [(read_lora(path), 0.8)])
    assert ours.warnings == ()
    theirs = _theirs(pipeline)
    assert len(theirs) == 3
    for found, expected, before in zip(_ours(ours), theirs, _ours(base), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
        assert float((before - expected).norm() / expected.norm()) > 0.01


def _ours(model: Model) -> list[Tensor]:
    ((_, row),) = model.encode_prompts("a red circle", "", (64, 64))[0].at(0)
    assert row.pooled is not None
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    return [row.context, row.pooled, model.predict(x, torch.tensor([500.0]), row)]


@torch.inference_mode()
def _theirs(pipeline: Any) -> list[Tensor]:
    context, _, pooled, _ = pipeline.encode_prompt(
        "a red circle", do_classifier_free_guidance=False
    )
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    added = {"text_embeds": pooled, "time_ids": torch.tensor([[64.0, 64, 0, 0, 64, 64]])}
    predicted = pipeline.unet(x, 500, context, added_cond_kwargs=added).sample
    return [context, pooled, predicted]


def test_embeddings_in_its_file_have_vectors_for_both_encoders(base: Model, tmp_path: Path) -> None:
    path = tmp_path / "ink.safetensors"
    write(base, "sgm", path)
    first, second = torch.randn(2, 32), torch.randn(2, 24)
    bundled = {"bundle_emb.mark.clip_l": first, "bundle_emb.mark.clip_g": second}
    lone = {"bundle_emb.half.clip_l": torch.zeros(2, 32)}
    save_file(load_file(path) | bundled | lone, path)
    lora = read_lora(path)
    assert list(lora.embeddings) == ["mark"]
    assert torch.equal(lora.embeddings["mark"], torch.cat([first, second], 1))
    assert lora.unknown == ("bundle_emb.half.clip_l",)
    assert lora.embeddings["mark"].shape[1] == embedding_width(base)
    model = with_embeddings(base, lora.embeddings)
    assert len(model.tokenizer.encode("mark")) == 2
