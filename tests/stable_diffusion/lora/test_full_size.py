"""LoRAs of full-size models, by the names that trainers give their layers: all of it is placed.

The counts are those of published files: 722 and 264 layers of kohya's for Stable Diffusion XL, and
2364 and 834 tensors of the two LCM-LoRAs.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors.torch import save_file
from torch import nn

from stable_diffusion.errors import LoraMismatch
from stable_diffusion.families.family import Family
from stable_diffusion.families.sd1 import SD1
from stable_diffusion.families.sd2 import SD2
from stable_diffusion.families.sdxl import BASE
from stable_diffusion.lora import read_lora, with_loras
from stable_diffusion.model import Model
from tests.stable_diffusion.layouts import empty

Layers = dict[str, tuple[int, ...]]
"""The shape of the weight by the name of its layer."""
_LCM = ("to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2")
_LCM += ("conv1", "conv2", "conv_shortcut", "downsamplers.0.conv", "upsamplers.0.conv")
_LCM += ("time_emb_proj",)


def full_size(family: Family) -> Model:
    """A model of this family without weights."""
    return Model(
        name="full",
        family=family,
        prediction="epsilon",
        hash="",
        networks=empty(family),
        tokenizer=family.tokenizer(),
        device=torch.device("meta"),
    )


def sgm_blocks() -> Iterator[tuple[str, int, int]]:
    """Where the UNet of `sd_xl_base.yaml` has attention: name, channels, depth."""
    for number, channels, depth in ((4, 640, 2), (5, 640, 2), (7, 1280, 10), (8, 1280, 10)):
        yield f"input_blocks_{number}_1", channels, depth
    yield "middle_block_1", 1280, 10
    for number in range(6):
        yield f"output_blocks_{number}_1", (1280, 640)[number // 3], (10, 2)[number // 3]


def kohya_unet() -> Layers:
    layers: Layers = {}
    for block, size, depth in sgm_blocks():
        start = f"lora_unet_{block}"
        layers |= {f"{start}_proj_in": (size, size), f"{start}_proj_out": (size, size)}
        for number in range(depth):
            own = f"{start}_transformer_blocks_{number}"
            for attention, width in (("attn1", size), ("attn2", 2048)):
                for end, read in (("q", size), ("k", width), ("v", width), ("out_0", size)):
                    layers[f"{own}_{attention}_to_{end}"] = (size, read)
            layers[f"{own}_ff_net_0_proj"] = (8 * size, size)
            layers[f"{own}_ff_net_2"] = (size, 4 * size)
    return layers


def kohya_text(*encoders: tuple[str, int, int]) -> Layers:
    """Args: what the layers of each encoder begin with, its depth and its width; none: XL's."""
    layers: Layers = {}
    for start, depth, width in encoders or (("lora_te1", 12, 768), ("lora_te2", 32, 1280)):
        for number in range(depth):
            own = f"{start}_text_model_encoder_layers_{number}"
            for end in ("q_proj", "k_proj", "v_proj", "out_proj"):
                layers[f"{own}_self_attn_{end}"] = (width, width)
            layers |= {f"{own}_mlp_fc1": (4 * width, width), f"{own}_mlp_fc2": (width, 4 * width)}
    return layers


def lcm(family: Family) -> Layers:
    """The layers that the LCM-LoRAs change, by diffusers' names."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(**family.part("unet").config)
    return {
        name: tuple(module.weight.shape)
        for name, module in unet.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d) and name.endswith(_LCM)
    }


def factors(layers: Layers, down: str = ".lora_down.weight", up: str = ".lora_up.weight") -> Layers:
    tensors: Layers = {}
    for name, shape in layers.items():
        tensors[name + down] = (1, *shape[1:])
        tensors[name + up] = (shape[0], 1, *(1 for _ in shape[2:]))
    return tensors


def kohya(layers: Layers) -> Layers:
    return factors(layers) | {f"{name}.alpha": () for name in layers}


def loha(layers: Layers) -> Layers:
    """LyCORIS."""
    tensors: Layers = {}
    for name, (out, read) in layers.items():
        for number in "12":
            tensors[f"{name}.hada_w{number}_a"] = (out, 1)
            tensors[f"{name}.hada_w{number}_b"] = (1, read)
    return tensors


def in_kohyas_names(layers: Layers) -> Layers:
    return {"lora_unet_" + name.replace(".", "_"): shape for name, shape in layers.items()}


def in_pefts_names(layers: Layers) -> Layers:
    peft = {f"unet.{name}": shape for name, shape in layers.items()}
    return factors(peft, ".lora_A.weight", ".lora_B.weight")


def placed(family: Family, tensors: Layers, path: Path) -> tuple[int, tuple[str, ...]]:
    """How many weights a file changes, and the warnings."""
    save_file({name: torch.ones(shape).half() for name, shape in tensors.items()}, path)
    model = full_size(family)
    made = with_loras(model, [(read_lora(path), 1.0)])
    changed = sum(
        own is not other
        for part in family.parts
        for own, other in zip(
            model.networks.parts[part.name].parameters(),
            made.networks.parts[part.name].parameters(),
            strict=True,
        )
    )
    return changed, made.warnings


@pytest.mark.parametrize(
    ("tensors", "layers"),
    [(kohya(kohya_unet() | kohya_text()), 722 + 264), (loha(kohya_text()), 264)],
)
def test_every_layer_of_one_for_stable_diffusion_xl_has_its_place(
    tensors: Layers, layers: int, tmp_path: Path
) -> None:
    assert placed(BASE, tensors, tmp_path / "xl.safetensors") == (layers, ())


@pytest.mark.parametrize(("family", "layers"), [(SD1, 834 // 3), (BASE, 2364 // 3)])
def test_every_layer_of_an_lcm_lora_has_its_place(
    family: Family, layers: int, tmp_path: Path
) -> None:
    named = lcm(family)
    for tensors in (kohya(in_kohyas_names(named)), in_pefts_names(named)):
        assert placed(family, tensors, tmp_path / "lcm.safetensors") == (layers, ())


@pytest.mark.parametrize(
    ("family", "other", "sentence"),
    [
        (BASE, SD1, r"\(sdxl\): .*768.* not .*2048.*made for sd1$"),
        (SD1, BASE, r"\(sd1\): .*2048.* not .*768.*made for sdxl$"),
    ],
)
def test_one_for_another_generation_is_refused_in_a_sentence(
    family: Family, other: Family, sentence: str, tmp_path: Path
) -> None:
    tensors = kohya(in_kohyas_names(lcm(other)))
    with pytest.raises(LoraMismatch, match=sentence):
        placed(family, tensors, tmp_path / "ink.safetensors")


@pytest.mark.parametrize(
    ("family", "encoders", "sentence"),
    [
        (
            BASE,
            {"lora_te": (12, 768)},
            r"\(sdxl\): .* no layer lora_te_.*, so it was made for sd1$",
        ),
        (BASE, {"lora_te": (23, 1024)}, r"\(sdxl\): .* no layer lora_te_.* was made for sd2$"),
        (SD1, {"lora_te1": (12, 768), "lora_te2": (32, 1280)}, r"\(sd1\): .*lora_te2_.* for sdxl$"),
        (SD1, {"text_encoder": (2, 768), "text_encoder_2": (2, 1280)}, r"\(sd1\): .* for sdxl$"),
        (SD2, {"lora_te": (12, 768)}, r"\(sd2\): .*shape.*"),
    ],
)
def test_one_for_text_encoders_alone_is_refused_by_their_names(
    family: Family, encoders: dict[str, tuple[int, int]], sentence: str, tmp_path: Path
) -> None:
    layers = kohya_text(*((start, *size) for start, size in encoders.items()))
    with pytest.raises(LoraMismatch, match=sentence):
        placed(family, kohya(layers), tmp_path / "words.safetensors")


@pytest.mark.parametrize(
    ("family", "start", "depth"),
    [(SD1, "lora_te", 12), (BASE, "lora_te1", 12), (SD1, "text_encoder", 3)],
)
def test_one_for_the_text_encoder_alone_is_added(
    family: Family, start: str, depth: int, tmp_path: Path
) -> None:
    tensors = kohya(kohya_text((start, depth, 768)))
    assert placed(family, tensors, tmp_path / "words.safetensors") == (6 * depth, ())
