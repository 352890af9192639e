"""Which family a checkpoint is of, what is refused and in which words, and the table itself."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from stable_diffusion.errors import RecipeError, UnreadableModel
from stable_diffusion.families import FAMILIES, detect, family_by_id
from stable_diffusion.families.family import Family, Prediction
from stable_diffusion.families.sd1 import SD1
from stable_diffusion.load_model import load_model
from stable_diffusion.loader import Loader, ModelDescription
from stable_diffusion.tiny import PATH, PATH_V2
from tests.stable_diffusion.layouts import empty


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.id)
def test_every_family_recognises_its_own_checkpoints_and_no_other_does(family: Family) -> None:
    networks = empty(family)
    for layout in ("original", "diffusers"):
        shapes = {
            part.stored(name, layout).key: tuple(weight.shape)
            for part in family.parts
            for name, weight in networks.parts[part.name].named_parameters()
        }
        recognising = [other for other in FAMILIES if other.detect(shapes, shapes.__getitem__)]
        assert recognising == [family], layout
        assert detect(shapes, shapes.__getitem__) is family
    assert family_by_id(family.id) is family


@pytest.mark.parametrize(
    ("tensors", "says"),
    [
        ({"lora_unet_x.lora_up.weight": (1, 1)}, "a LoRA: put it into the loras folder"),
        ({"emb_params": (1, 768)}, "put it into the embeddings folder"),
        ({"control_model.x": (1, 1)}, "a ControlNet"),
        (
            {"control_model.x": (1, 1), "model.diffusion_model.attn2.to_k.weight": (320, 768)},
            "a ControlNet",
        ),
        (
            {"unet.down_blocks.0.attn2.to_k.weight": (320, 2048), "edm_mean": (1, 4)},
            "a Playground 2.5 checkpoint, whose noise levels are not supported",
        ),
        (
            {
                "model.diffusion_model.input_blocks.4.1.attn2.to_k.weight": (640, 2048),
                "edm_vpred.sigma_max": (),
            },
            "a CosXL checkpoint, whose noise levels are not supported",
        ),
        (
            {
                "unet.down_blocks.0.attn2.to_k.weight": (384, 1280),
                "unet.conv_in.weight": (384, 7, 3, 3),
            },
            "a model of another purpose: its UNet takes 7 channels, not 4",
        ),
        ({"joint_blocks.0.x": (1, 1)}, "a Stable Diffusion 3 checkpoint"),
        ({"double_blocks.0.x": (1, 1)}, "a Flux checkpoint"),
        (
            {
                "model.diffusion_model.input_blocks.1.1.attn2.to_k.weight": (320, 768),
                "model.diffusion_model.input_blocks.0.0.weight": (320, 7, 3, 3),
            },
            "a model of another purpose: its UNet takes 7 channels, not 4",
        ),
        (
            {
                "unet.down_blocks.0.attn2.to_k.weight": (320, 1024),
                "unet.conv_in.weight": (320, 5, 3, 3),
            },
            r"a depth-to-image model \(depth maps are not supported\): its UNet takes 5 channels",
        ),
        (
            {"x.attn2.to_k.weight": (320, 500)},
            r"text width of 500; known are 768 \(sd1\), 1024 \(sd2\)",
        ),
        ({"decoder.conv_out.weight": (3, 1)}, "it is an autoencoder alone"),
        ({"first_stage_model.x": (1, 1)}, "no cross-attention to a text; found: first_stage"),
        ({"x.attn2.to_k.weight": ()}, "text width of 0"),
    ],
)
def test_what_is_no_such_model_is_refused_by_what_it_is(
    tmp_path: Path, tensors: dict[str, tuple[int, ...]], says: str
) -> None:
    path = tmp_path / "other.safetensors"
    save_file({name: torch.zeros(shape) for name, shape in tensors.items()}, path)
    with pytest.raises(UnreadableModel, match=says):
        load_model(path, name="other")


@pytest.mark.parametrize(
    "stray", ["lora_te_x.alpha", "control_model.x", "emb_params", "double_blocks.0.x"]
)
def test_one_stray_tensor_does_not_make_a_model_something_else(tmp_path: Path, stray: str) -> None:
    path = tmp_path / "model.safetensors"
    save_file(load_file(PATH) | {stray: torch.zeros(1)}, path)
    assert load_model(path, name="model").family.id == "tiny"


@pytest.mark.parametrize(
    ("path", "prediction", "description"),
    [
        (PATH, None, ("tiny", "tiny", 256)),
        (PATH, "v", ("tiny", "tiny", 256)),  # the file itself says that it predicts ε
        (PATH_V2, None, ("tiny-v2", "tiny-v2", 256)),
    ],
)
def test_a_model_is_described_without_being_loaded(
    path: Path, prediction: Prediction | None, description: tuple[str, str, int]
) -> None:
    described = Loader.describe(path, prediction)
    assert described == ModelDescription(*description, family_by_id(description[0]).unet_kind)


@pytest.mark.parametrize(
    ("family", "prediction", "kind", "side"),
    [
        ("sd1", "epsilon", "sd1", 512),
        ("sd1", "v", "sd1-v", 512),
        ("sd2", "epsilon", "sd2", 512),
        ("sd2", "v", "sd2-v", 768),
        ("sdxl", "v", "sdxl-v", 1024),
        ("tiny-v2", "v", "tiny-v2", 256),
        ("tiny-v2", "epsilon", "tiny-v2-epsilon", 256),
    ],
)
def test_kind_and_native_size_depend_on_the_prediction(
    family: str, prediction: Prediction, kind: str, side: int
) -> None:
    found = family_by_id(family)
    assert (found.kind(prediction), found.native_size_for(prediction)) == (kind, side)


def test_sides_that_are_no_multiple_of_the_factor_are_refused() -> None:
    assert SD1.latents.shape(128, 64) == (4, 8, 16)
    with pytest.raises(RecipeError, match="width is 100; it must be a multiple of 8"):
        SD1.latents.shape(100, 64)


def test_the_table_is_imported_without_torch() -> None:
    script = "import sys, stable_diffusion.families; print('torch' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert found.stdout.strip() == "False", found.stderr
