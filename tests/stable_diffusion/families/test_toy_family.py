"""A family unlike all others is one object: nothing else of the engine changes for it.

It has what Stable Diffusion XL has and 1.x has not: two text encoders, a pooled embedding and sizes
in its conditioning, and further keys in its checkpoints; and latents of its own.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from stable_diffusion import families
from stable_diffusion.conditioning import Conditioning
from stable_diffusion.errors import RecipeError, UnreadableModel
from stable_diffusion.families import tensor_shapes
from stable_diffusion.families.family import Family, Latents, Shape, TextEncoding
from stable_diffusion.families.parts.autoencoder import Autoencoder
from stable_diffusion.families.parts.clip import CLIP_TOKENS, ClipTextEncoder, OpenClipTextEncoder
from stable_diffusion.families.parts.unet import UNetPart
from stable_diffusion.generate import generate
from stable_diffusion.load_model import load_model
from stable_diffusion.loader import Loader, ModelDescription
from stable_diffusion.lora import read_lora, with_loras
from stable_diffusion.model import Model
from stable_diffusion.networks import Networks, parts_of
from stable_diffusion.offload.plan import parts_in_order
from stable_diffusion.preview import fitted
from stable_diffusion.prompt.conditioning import encode_prompts
from stable_diffusion.prompt.grammar import ParsedPrompt
from stable_diffusion.recipe import Recipe
from stable_diffusion.weights.fingerprint import Fingerprints
from stable_diffusion.weights.saving import save_checkpoint
from stable_diffusion.weights.weight_cache import WeightCache
from tests.stable_diffusion.layouts import random_networks

WIDTHS = {"text": 16, "text_2": 8}
TIME_WIDTH = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class ToyFamily(Family):
    def detect(self, names: Collection[str], shape: Shape) -> bool:
        return tensor_shapes.context_width(names, shape) == self.context_width

    def encode(
        self,
        model: TextEncoding,
        prompts: Sequence[str | ParsedPrompt],
        size: tuple[int, int],
        clip_skip: int = 1,
    ) -> tuple[Conditioning, ...]:
        def both(token_ids: torch.Tensor) -> torch.Tensor:
            return torch.cat([model.encode_text(token_ids, name, clip_skip) for name in WIDTHS], -1)

        width, height = size
        sizes = torch.tensor([[height, width, 0, 0, height, width]])
        return tuple(
            replace(one, pooled=one.context[..., -WIDTHS["text_2"] :].mean(1), time_ids=sizes)
            for one in encode_prompts(prompts, model.tokenizer, both)
        )


def text_config(width: int, pad: int) -> dict[str, object]:
    return {
        **CLIP_TOKENS,
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "pad_token_id": pad,
    }


TOY = ToyFamily(
    id="toy",
    parts=(
        ClipTextEncoder(
            text_config(WIDTHS["text"], 49407),
            original_prefix="conditioner.embedders.0.transformer.text_model.",
        ),
        OpenClipTextEncoder(
            text_config(WIDTHS["text_2"], 0),
            name="text_2",
            folder="text_encoder_2",
            original_prefix="conditioner.embedders.1.model.",
            lora_prefixes=("lora_te2_",),
        ),
        UNetPart(
            {
                "in_channels": 6,
                "out_channels": 6,
                "block_out_channels": (16, 32),
                "layers_per_block": 1,
                "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
                "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
                "cross_attention_dim": sum(WIDTHS.values()),
                "attention_head_dim": 4,
                "norm_num_groups": 8,
                "addition_embed_type": "text_time",
                "addition_time_embed_dim": TIME_WIDTH,
                "projection_class_embeddings_input_dim": WIDTHS["text_2"] + 6 * TIME_WIDTH,
            }
        ),
        Autoencoder(
            {
                "block_out_channels": (8, 16, 16),
                "layers_per_block": 1,
                "latent_channels": 6,
                "down_block_types": ("DownEncoderBlock2D",) * 3,
                "up_block_types": ("UpDecoderBlock2D",) * 3,
                "norm_num_groups": 4,
            }
        ),
    ),
    latents=Latents(channels=6, factor=4, scale=0.5),
    native_size=32,
)
RECIPE = Recipe(prompt="a red circle", width=32, height=40, steps=2, seed=9, sampler="k_euler")


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(families, "FAMILIES", (*families.FAMILIES, TOY))


@pytest.fixture(scope="module")
def networks() -> Networks:
    return random_networks(TOY)


@pytest.fixture(scope="module")
def file(networks: Networks, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "toy.safetensors"
    save_checkpoint(networks, TOY, path, dtype=torch.float32)
    return path


@pytest.fixture
def toy(file: Path) -> Model:
    return load_model(file, name="toy")


def pixels(model: Model, recipe: Recipe = RECIPE) -> bytes:
    (picture,) = generate(model, recipe)
    assert picture.image.size == recipe.size
    return picture.image.tobytes()


def weights(networks: Networks) -> list[torch.Tensor]:
    return [weight for _, module in parts_of(networks) for weight in module.parameters()]


def test_it_generates_a_picture(toy: Model) -> None:
    shapes: set[tuple[int, ...]] = set()
    toy.networks.unet.register_forward_pre_hook(lambda _, args: shapes.add(tuple(args[0].shape)))
    picture = pixels(toy)
    assert shapes == {(2, 6, 10, 8)}
    assert picture != pixels(toy, replace(RECIPE, prompt="a green square"))
    assert picture != pixels(toy, replace(RECIPE, negative_prompt="a green square"))


def test_it_starts_from_an_image(toy: Model) -> None:
    red, blue = (
        replace(RECIPE, inputs={"init": Image.new("RGB", RECIPE.size, colour)}, strength=0.5)
        for colour in ("red", "blue")
    )
    assert pixels(toy, red) != pixels(toy, blue)


def test_every_text_encoder_and_the_sizes_count(toy: Model) -> None:
    composition, _ = toy.encode_prompts("a red circle", "", (32, 40))
    ((_, positive),) = composition.at(0)
    assert positive.context.shape == (1, 77, 24)
    assert positive.pooled is not None
    assert positive.time_ids is not None
    assert positive.time_ids.tolist() == [[40, 32, 0, 0, 40, 32]]
    for name, width in WIDTHS.items():
        assert toy.encode_text(torch.zeros(1, 77, dtype=torch.long), name).shape == (1, 77, width)


def test_it_is_described_and_detected_without_being_loaded(file: Path) -> None:
    assert Loader.describe(file) == ModelDescription("toy", "toy", 32, TOY.unet_kind)


def test_its_weights_come_back_from_a_file_and_from_a_folder(
    toy: Model, networks: Networks, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    for part in TOY.parts:
        (folder / part.folder).mkdir(parents=True)
        tensors = {
            part.stored(name, "diffusers").key.removeprefix(f"{part.folder}."): weight.contiguous()
            for name, weight in networks.parts[part.name].named_parameters()
        }
        save_file(tensors, folder / part.folder / f"{part.file_stems[0]}.safetensors")
    from_folder = load_model(folder, name="toy")
    assert from_folder.family is toy.family is TOY
    assert all(map(torch.equal, weights(toy.networks), weights(networks)))
    assert all(map(torch.equal, weights(from_folder.networks), weights(networks)))
    (folder / "text_encoder_2" / "model.safetensors").unlink()
    with pytest.raises(UnreadableModel, match="no weights in 'text_encoder_2'"):
        load_model(folder, name="toy")


def test_a_ready_copy_generates_the_same_in_every_memory_plan(
    toy: Model, file: Path, tmp_path: Path
) -> None:
    cache = WeightCache(tmp_path / "copies", 2**30, min_bytes=0)
    loader = Loader("cpu", Fingerprints(tmp_path / "fingerprints.json"), cache)
    loader.load("toy", file)
    copy = loader.load("toy", file)
    assert copy.mapped
    for plan in ("standard", "optimized"):
        assert pixels(copy, replace(RECIPE, memory_plan=plan)) == pixels(toy)


def test_loras_find_each_text_encoder(toy: Model, tmp_path: Path) -> None:
    tensors: dict[str, torch.Tensor] = {}
    layers = {
        "lora_te1_text_model_encoder_layers_0_mlp_fc1": (32, 16),
        "lora_te2_text_model_encoder_layers_0_mlp_fc1": (16, 8),
        "lora_unet_label_emb_0_0": (64, 56),
    }
    for layer, (rows, columns) in layers.items():
        tensors[f"{layer}.lora_up.weight"] = torch.ones(rows, 1)
        tensors[f"{layer}.lora_down.weight"] = torch.ones(1, columns)
    save_file(tensors, tmp_path / "ink.safetensors")
    changed = with_loras(toy, [(read_lora(tmp_path / "ink.safetensors"), 1.0)])
    for part, name in (
        ("text", "encoder.layers.0.mlp.fc1.weight"),
        ("text_2", "encoder.layers.0.mlp.fc1.weight"),
        ("unet", "add_embedding.linear_1.weight"),
    ):
        before, after = (model.networks.parts[part].get_parameter(name) for model in (toy, changed))
        torch.testing.assert_close(after.detach(), before.detach() + 1)


def test_previews_and_offloading_follow_its_shapes(toy: Model) -> None:
    projection = fitted(toy)
    assert projection.weight.shape == (3, 6)
    assert projection(torch.zeros(6, 10, 8)).size == (8, 10)
    assert parts_in_order(toy.networks.unet)


def test_its_own_factor_limits_its_sizes(toy: Model) -> None:
    coarse = replace(TOY, latents=replace(TOY.latents, factor=16))
    with pytest.raises(RecipeError, match="height is 40; it must be a multiple of 16"):
        list(generate(replace(toy, family=coarse), RECIPE))
