"""Seamless pictures: no network knows where the edges are, in every way of running it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stable_diffusion.conditioning import Conditioning
from stable_diffusion.cpu.convolution import QuickConvolution
from stable_diffusion.cuda.graphs import Graphs
from stable_diffusion.generate import generate
from stable_diffusion.image import to_tensor
from stable_diffusion.model import Model
from stable_diffusion.networks import parts_of
from stable_diffusion.offload.offload_cache import OffloadCache
from stable_diffusion.recipe import Recipe
from stable_diffusion.step_batching import StepBatcher
from tests.stable_diffusion.fake_recorder import FakeRecorder
from tests.stable_diffusion.layouts import with_unet_in

RECIPE = Recipe(prompt="a forest of green leaves", width=64, height=128, steps=3, seed=9)
TILED = replace(RECIPE, tiling=True)
SHIFT = 8


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def context(model: Model) -> Conditioning:
    return model.encode_prompts("a red circle", "", RECIPE.size)[0].at(0)[0][1]


def test_the_unet_moves_with_its_latents(tiny: Model) -> None:
    x, t = random(1, 4, 16, 16), torch.tensor([500.0])

    def predicted(model: Model, x: Tensor) -> Tensor:
        return model.predict(x, t, context(tiny))

    shifted = x.roll((SHIFT, SHIFT), (-2, -1))
    expected = predicted(tiny.tiled, x).roll((SHIFT, SHIFT), (-2, -1))
    torch.testing.assert_close(predicted(tiny.tiled, shifted), expected, rtol=1e-3, atol=1e-3)
    plain = predicted(tiny, x).roll((SHIFT, SHIFT), (-2, -1))
    assert (predicted(tiny, shifted) - plain).abs().max() > 0.05


def test_the_autoencoder_moves_with_its_pictures(tiny: Model) -> None:
    latents, image = random(4, 16, 16), random(3, 64, 64).clamp(-1, 1)
    factor = 64 // tiny.encode(image).shape[-1]
    pixels = tiny.tiled.decode(latents)
    moved = tiny.tiled.decode(latents.roll((3, 3), (-2, -1)))
    torch.testing.assert_close(moved, pixels.roll((3 * factor,) * 2, (-2, -1)), rtol=0, atol=1e-3)
    encoded = tiny.tiled.encode(image)
    moved = tiny.tiled.encode(image.roll((3 * factor,) * 2, (-2, -1)))
    torch.testing.assert_close(moved, encoded.roll((3, 3), (-2, -1)), rtol=0, atol=1e-3)


def test_the_weights_are_shared(tiny: Model) -> None:
    for (name, tiled), (_, plain) in zip(
        parts_of(tiny.tiled.networks), parts_of(tiny.networks), strict=True
    ):
        ours, theirs = dict(tiled.named_parameters()), dict(plain.named_parameters())
        assert ours.keys() == theirs.keys()
        assert all(ours[key] is theirs[key] for key in ours), name
    assert tiny.tiled is tiny.tiled


def test_a_plain_picture_is_the_same_before_and_after_a_seamless_one(tiny: Model) -> None:
    before, seamless, after = (pixels(tiny, each) for each in (RECIPE, TILED, RECIPE))
    assert np.array_equal(before, after)
    assert not np.array_equal(before, seamless)


def pixels(model: Model, recipe: Recipe) -> np.ndarray:
    return np.asarray(next(generate(model, recipe)).image).astype(int)


def seam(picture: np.ndarray, axis: int) -> float:
    """The step across the edge, against the median step inside."""
    steps = np.abs(np.diff(picture, axis=axis, append=picture.take([0], axis=axis)))
    means = steps.mean(axis=tuple(n for n in range(3) if n != axis))
    return means[-1] / np.median(means[:-1])


def test_the_edges_of_a_seamless_picture_meet(tiny: Model) -> None:
    recipes = [replace(RECIPE, height=64, steps=5, seed=seed) for seed in range(3)]
    plain = [pixels(tiny, recipe) for recipe in recipes]
    tiled = [pixels(tiny, replace(recipe, tiling=True)) for recipe in recipes]
    for axis in (0, 1):
        visible = np.median([seam(picture, axis) for picture in plain])
        left = np.median([seam(picture, axis) for picture in tiled])
        assert left < 2.5
        assert left < visible / 2


@pytest.mark.parametrize("kernel", [1, 3])
def test_the_quick_convolution_has_no_edges(kernel: int) -> None:
    channels = 360  # enough for the matrix multiplication
    layer = QuickConvolution(channels, channels, kernel, padding=kernel // 2)
    layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    layer.padding_mode = "circular"
    x = random(1, channels, 8, 8)
    with torch.inference_mode():
        ours = layer(x)
    assert layer._matrices_faster(x)
    padded = nn.functional.pad(x, [kernel // 2] * 4, "circular")
    theirs = nn.functional.conv2d(padded, layer.weight, layer.bias)
    torch.testing.assert_close(ours, theirs.detach(), rtol=1e-3, atol=1e-3)


def test_half_precision_has_no_edges_either(tiny: Model) -> None:
    half = replace(tiny, networks=with_unet_in(tiny.networks, torch.bfloat16))
    x, t = random(1, 4, 16, 16), torch.tensor([500.0])
    full = tiny.tiled.predict(x, t, context(tiny))
    rough = half.tiled.predict(x, t, context(tiny), precision="autocast")
    plain = tiny.predict(x, t, context(tiny))
    assert (rough - full).norm() < 0.5 * (plain - full).norm()


def test_all_memory_plans_and_step_batching_give_the_same_seamless_picture(tiny: Model) -> None:
    expected = pixels(tiny, TILED)
    optimized = replace(TILED, memory_plan="optimized")
    batched = replace(tiny, step_batcher=StepBatcher())
    assert np.array_equal(pixels(tiny, optimized), expected)
    assert np.abs(pixels(batched, TILED) - expected).max() <= 1
    assert np.abs(pixels(batched, RECIPE) - pixels(tiny, RECIPE)).max() <= 1


def test_recordings_of_plain_and_seamless_evaluations_are_apart(tiny: Model) -> None:
    recorder = FakeRecorder()
    model = replace(tiny, graphs=Graphs(recorder))
    x, t = random(1, 4, 16, 16), torch.tensor([500.0])
    for _ in range(5):
        for ours, plain in ((model, tiny), (model.tiled, tiny.tiled)):
            expected = plain.predict(x, t, context(tiny))
            assert ours.predict(x, t, context(tiny)).equal(expected)
    assert recorder.recorded == 2


def test_a_seamless_job_uses_the_offload_plan_of_its_model(tiny: Model) -> None:
    cache = OffloadCache(2**30, torch.device("cpu"))
    plan = cache.plan(tiny.networks.unet)
    assert cache.plan(tiny.tiled.networks.unet) is plan


def test_an_init_image_is_encoded_without_edges(tiny: Model) -> None:
    image = next(generate(tiny, TILED)).image
    recipe = replace(TILED, inputs={"init": image}, strength=0.3)
    assert not np.array_equal(pixels(tiny, recipe), pixels(tiny, replace(recipe, tiling=False)))
    assert tiny.tiled.encode(to_tensor(image)).isfinite().all()
