"""Networks that take more than latents: how they load and run, alone and in every mode."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from stable_diffusion.cuda.graphs import Graphs
from stable_diffusion.errors import RecipeError
from stable_diffusion.families import FAMILIES, family_by_id
from stable_diffusion.generate import generate
from stable_diffusion.loader import Loader
from stable_diffusion.lora import read_lora, with_loras
from stable_diffusion.model import Model
from stable_diffusion.offload.plan import parts_in_order
from stable_diffusion.recipe import Recipe
from stable_diffusion.step_batching import StepBatcher
from stable_diffusion.weights.fingerprint import Fingerprints
from stable_diffusion.weights.saving import save_checkpoint
from stable_diffusion.weights.weight_cache import WeightCache
from tests.stable_diffusion.fake_recorder import FakeRecorder
from tests.stable_diffusion.layouts import empty, random_networks, with_unet_in

SIDE = 64
KINDS = ("tiny-inpaint", "tiny-instruct")
INIT = Image.linear_gradient("L").resize((SIDE, SIDE)).convert("RGB")
MASK = Image.new("L", (SIDE, SIDE))
MASK.paste(255, (0, 0, SIDE, SIDE // 2))
RECIPE = Recipe(
    prompt="a red circle",
    width=SIDE,
    height=SIDE,
    steps=6,
    sampler="k_euler",
    strength=0.9,
    inputs={"init": INIT, "mask": MASK},
)


@pytest.fixture(scope="module", params=KINDS)
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    family = family_by_id(request.param)
    path = tmp_path_factory.mktemp("models") / f"{family.id}.safetensors"
    save_checkpoint(random_networks(family), family, path, dtype=torch.float32)
    return path


@pytest.fixture(scope="module")
def loaded(file: Path) -> Model:
    """From the weight cache, so that all memory plans apply."""
    cache = WeightCache(file.parent / "cache", 2**30, min_bytes=0)
    loader = Loader("cpu", Fingerprints(file.parent / "fingerprints.json"), cache)
    loader.load(file.stem, file)
    model = loader.load(file.stem, file)
    assert (model.mapped, model.family.id) == (True, file.stem)
    return model


def pixels(model: Model, recipe: Recipe = RECIPE) -> bytes:
    (picture,) = generate(model, recipe)
    return picture.image.tobytes()


def test_every_mode_gives_the_same_picture(loaded: Model) -> None:
    expected = pixels(loaded)
    recorder = FakeRecorder()
    assert pixels(loaded, replace(RECIPE, memory_plan="optimized")) == expected
    assert pixels(loaded, replace(RECIPE, memory_plan="optimized", turbo=True)) == expected
    assert pixels(replace(loaded, step_batcher=StepBatcher(1))) == expected
    assert pixels(replace(loaded, graphs=Graphs(recorder))) == expected
    assert recorder.inputs == [4]  # latents, timesteps, text, and what the UNet takes beside
    assert pixels(loaded, replace(RECIPE, inputs={"init": INIT.rotate(180), "mask": MASK})) != (
        expected
    )


def test_half_precision_is_near(loaded: Model) -> None:
    half = replace(loaded, networks=with_unet_in(loaded.networks, torch.bfloat16))
    near, exact = (
        torch.frombuffer(bytearray(pixels(model)), dtype=torch.uint8).float()
        for model in (half, loaded)
    )
    assert (near - exact).abs().mean() < 3
    assert not near.equal(exact)


def test_its_parts_are_found_for_offloading(loaded: Model) -> None:
    plain = empty(family_by_id("tiny")).unet
    assert parts_in_order(loaded.networks.unet) == parts_in_order(plain)


def test_a_lora_for_latents_alone_changes_only_their_channels(
    loaded: Model, tmp_path: Path
) -> None:
    weight = loaded.networks.unet.conv_in.weight
    path = tmp_path / "lora.safetensors"
    added = torch.randn(len(weight), 4, 3, 3)
    save_file({"lora_unet_conv_in.diff": added}, path)
    changed = with_loras(loaded, [(read_lora(path), 1.0)]).networks.unet.conv_in.weight
    assert torch.allclose(changed[:, :4], weight[:, :4] + added, atol=1e-6)
    assert changed[:, 4:].equal(weight[:, 4:])


def test_what_a_job_does_not_have_counts_as_masked_or_is_asked_for(loaded: Model) -> None:
    plain = replace(RECIPE, inputs={}, strength=1.0)
    if loaded.family.unet_inputs.image_guided:
        with pytest.raises(RecipeError, match="img2img with an init image"):
            pixels(loaded, plain)
        return
    grey = Image.new("RGB", (SIDE, SIDE), (127, 127, 127))
    whole = {"init": grey, "mask": Image.new("L", (SIDE, SIDE), 255)}
    assert pixels(loaded, plain) == pixels(loaded, replace(plain, inputs=whole))
    assert pixels(loaded, plain) == pixels(loaded, replace(plain, inputs={"init": INIT}))


def test_outside_the_guidance_interval_nothing_else_is_evaluated(loaded: Model) -> None:
    """Not even the prediction without the image, by which an image guides."""
    recipe = replace(RECIPE, guidance_end=0.0, image_scale=3.0)
    assert pixels(loaded, recipe) == pixels(
        loaded, replace(recipe, guidance_end=1.0, guidance_scale=1.0, image_scale=1.0)
    )


def test_a_mask_without_an_image_is_refused() -> None:
    with pytest.raises(RecipeError, match="a mask needs an init image"):
        replace(RECIPE, inputs={"mask": MASK})
    with pytest.raises(RecipeError, match="mode L"):
        replace(RECIPE, inputs={"init": INIT, "mask": INIT})


def test_each_family_has_models_with_further_inputs() -> None:
    ids = {family.id for family in FAMILIES}
    for family in ("sd1", "sd2", "tiny", "tiny-v2"):
        assert {f"{family}-inpaint", f"{family}-instruct"} <= ids
