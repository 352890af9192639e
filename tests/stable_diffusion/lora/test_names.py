"""The names of trainers, each of which docs/models.md lists, and the scale that a file asks for."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from stable_diffusion.lora import read_lora, with_loras
from stable_diffusion.model import Model

PAGE = Path(__file__).parents[3] / "docs/models.md"
UNET = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
TEXT = "encoder.layers.1.self_attn.q_proj"
LISTED = re.compile(
    r"^\| `(?P<down>[^`]+)`, `(?P<up>[^`]+)` \| (?P<writer>[^|]+) \|$", re.MULTILINE
)
ROWS = [(row["down"], row["up"]) for row in LISTED.finditer(PAGE.read_text(encoding="utf-8"))]


def halves(weight: Tensor, rank: int = 4) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(5)
    up = torch.randn(weight.shape[0], rank, generator=draw) / 4
    return torch.randn(rank, weight.shape[1], generator=draw) / 4, up


def changed(
    model: Model, tensors: dict[str, Tensor], path: Path, metadata: dict[str, str] | None = None
) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """What a file adds to the UNet's and the text encoder's layer, and the warnings."""
    save_file(tensors, path, metadata)
    made = with_loras(model, [(read_lora(path), 1.0)])
    unet, text = f"{UNET}.weight", f"{TEXT}.weight"
    return (
        made.networks.unet.get_parameter(unet) - model.networks.unet.get_parameter(unet),
        made.networks.text.get_parameter(text) - model.networks.text.get_parameter(text),
        made.warnings,
    )


def test_the_page_lists_names() -> None:
    assert len(ROWS) >= 15


@pytest.mark.parametrize(("down", "up"), ROWS)
def test_the_names_of_the_page_are_read(tiny: Model, tmp_path: Path, down: str, up: str) -> None:
    of_text = any(mark in down for mark in ("text", "_te_"))
    network, layer = (tiny.networks.text, TEXT) if of_text else (tiny.networks.unet, UNET)
    factors = halves(network.get_parameter(f"{layer}.weight"))
    tensors = {down: factors[0], up: factors[1]}
    unet, text, warnings = changed(tiny, tensors, tmp_path / "x.safetensors")
    added, other = (text, unet) if of_text else (unet, text)
    torch.testing.assert_close(added, factors[1] @ factors[0], rtol=1e-4, atol=1e-6)
    assert not other.any()
    assert not any("not used" in warning for warning in warnings)


def peft_names() -> tuple[str, str]:
    return f"unet.{UNET}.lora_A.weight", f"unet.{UNET}.lora_B.weight"


@pytest.mark.parametrize(
    ("entries", "scale"),
    [
        ({"unet.r": 4, "unet.lora_alpha": 2}, 0.5),
        ({"unet.r": 4, "unet.lora_alpha": 2, "unet.use_rslora": True}, 1.0),
        ({"r": 4, "lora_alpha": 12}, 3.0),
        ({"unet.lora_alpha": 2, "unet.alpha_pattern": {"attn1.to_q": 16}}, 4.0),
        ({"unet.lora_alpha": 2, "unet.alpha_pattern": {UNET: 1, "x": 9}}, 0.25),
        ({"unet.lora_alpha": 2, "unet.rank_pattern": {"attn1.to_q": 4}, "unet.r": 99}, 0.5),
        ({"text_encoder.lora_alpha": 2}, 1.0),
        ({"unet.lora_alpha": "many"}, 1.0),
    ],
)
def test_the_metadata_of_diffusers_say_how_strongly_it_counts(
    tiny: Model, tmp_path: Path, entries: dict[str, Any], scale: float
) -> None:
    down, up = halves(tiny.networks.unet.get_parameter(f"{UNET}.weight"))
    tensors = dict(zip(peft_names(), (down, up), strict=True))
    metadata = {"lora_adapter_metadata": json.dumps(entries)}
    added, _, _ = changed(tiny, tensors, tmp_path / "x.safetensors", metadata)
    torch.testing.assert_close(added, scale * (up @ down), rtol=1e-4, atol=1e-6)


def test_the_configuration_of_peft_beside_its_file_is_read(tiny: Model, tmp_path: Path) -> None:
    down, up = halves(tiny.networks.unet.get_parameter(f"{UNET}.weight"))
    start = f"base_model.model.{UNET}.lora_"
    tensors = {f"{start}A.weight": down, f"{start}B.weight": up}
    path = tmp_path / "adapter_model.safetensors"
    added, _, warnings = changed(tiny, tensors, path)
    torch.testing.assert_close(added, up @ down, rtol=1e-4, atol=1e-6)
    assert ["does not say lora_alpha" in warning for warning in warnings] == [True]
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 4, "lora_alpha": 2}))
    added, _, warnings = changed(tiny, tensors, path)
    torch.testing.assert_close(added, (up @ down) / 2, rtol=1e-4, atol=1e-6)
    assert warnings == ()
