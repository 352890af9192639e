"""DeepCache: which evaluations compute all layers, and that those give the UNet's own answer."""

from dataclasses import replace
from typing import Any

import numpy
import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

from stable_diffusion import guided_network
from stable_diffusion.conditioning import Conditioning
from stable_diffusion.cuda.graphs import Graphs
from stable_diffusion.deep_cache import DeepCache
from stable_diffusion.errors import RecipeError
from stable_diffusion.generate import generate
from stable_diffusion.model import Model
from stable_diffusion.networks import unet_prediction
from stable_diffusion.prompt.grammar import read_prompt
from stable_diffusion.recipe import Recipe, SecondPass
from stable_diffusion.step_batching import StepBatcher
from tests.stable_diffusion.fake_recorder import FakeRecorder

RECIPE = Recipe(
    prompt="a red circle", width=64, height=64, steps=9, sampler="k_euler", cache_interval=3, seed=5
)


class Counted(DeepCache):
    """Remembers the caches that jobs make."""

    made: list[DeepCache]

    def __init__(self, interval: int) -> None:
        super().__init__(interval)
        self.made.append(self)


@pytest.fixture
def caches(monkeypatch: pytest.MonkeyPatch) -> list[DeepCache]:
    Counted.made = []
    monkeypatch.setattr(guided_network, "DeepCache", Counted)
    return Counted.made


def pixels(model: Model, recipe: Recipe = RECIPE) -> list[Any]:
    return [numpy.asarray(picture.image).astype(int) for picture in generate(model, recipe)]


SDXL: dict[str, Any] = {
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "block_out_channels": (16, 32, 32),
    "transformer_layers_per_block": (1, 1, 2),
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 6 * 8 + 12,
}
SD: dict[str, Any] = {
    "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    "block_out_channels": (16, 32, 32),
    "time_cond_proj_dim": 4,
}


@pytest.mark.parametrize("kind", [SD, SDXL], ids=["sd", "sdxl"])
@torch.inference_mode()
def test_an_evaluation_of_all_layers_is_that_of_diffusers_to_the_bit(kind: dict[str, Any]) -> None:
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        layers_per_block=2, cross_attention_dim=16, attention_head_dim=4, norm_num_groups=8, **kind
    ).eval()
    text = torch.randn(2, 7, 16)
    conditioning = (
        Conditioning(text, torch.randn(2, 12), torch.rand(2, 6))
        if kind is SDXL
        else Conditioning(text, guidance=torch.randn(2, 4))
    )
    x, t = torch.randn(2, 4, 10, 6), torch.tensor([500.0, 500.0])  # the deepest level is rounded
    cache = DeepCache(2)
    own = unet_prediction(unet, x, t, conditioning)
    assert cache.evaluation(t, conditioning)(unet, x, t, conditioning).equal(own)
    # with nothing new the shallow layers give the same, and with another image another answer
    shallow = cache.evaluation(t, conditioning)(unet, x, t, conditioning)
    torch.testing.assert_close(shallow, own)
    assert (cache.full, cache.shallow) == (1, 1)
    later = DeepCache(2)
    later.evaluation(t, conditioning)(unet, x, t, conditioning)
    moved = later.evaluation(t, conditioning)(unet, x + 0.1, t, conditioning)
    exact = unet_prediction(unet, x + 0.1, t, conditioning)
    assert (moved - own).norm() > 0.1 * (exact - own).norm() > 0
    assert not moved.equal(exact)


@pytest.mark.parametrize(
    ("changes", "full", "shallow"),
    [
        ({}, 3, 6),
        ({"cache_interval": 2}, 5, 4),
        ({"cache_interval": 10}, 1, 8),
        ({"sampler": "k_heun"}, 6, 11),  # 17 evaluations
        ({"steps": 1}, 1, 0),
        # the second half has a row less: it begins with all layers
        ({"cache_interval": 10, "guidance_end": 0.5}, 2, 7),
        # other words from step 4 on
        ({"cache_interval": 10, "prompt": read_prompt("a [red:blue:3] circle", "a1111")}, 2, 7),
    ],
)
def test_every_nth_evaluation_computes_all_layers(
    tiny: Model, caches: list[DeepCache], changes: dict[str, Any], full: int, shallow: int
) -> None:
    pixels(tiny, replace(RECIPE, **changes))
    assert [(cache.full, cache.shallow) for cache in caches] == [(full, shallow)]


def test_each_batch_and_each_pass_begins_anew(tiny: Model, caches: list[DeepCache]) -> None:
    second = replace(RECIPE, steps_before=9, strength=0.5, width=96, height=96)
    twice = replace(RECIPE, iterations=2, second_pass=SecondPass(recipe=second, enlarge="latent"))
    pixels(tiny, twice)
    assert [(cache.full, cache.shallow) for cache in caches] == [(3, 6), (2, 2)] * 2


def test_a_sampler_that_goes_back_begins_anew(tiny: Model, caches: list[DeepCache]) -> None:
    """DPM adaptive samples one image after the other, and makes some steps again."""
    two = replace(RECIPE, sampler="k_dpm_ad", batch_size=2, cache_interval=10)
    first, second = pixels(tiny, two)
    alone = pixels(tiny, replace(two, batch_size=1, seed=two.seed + 1))
    assert abs(second - alone[0]).max() <= 1
    assert first.shape == second.shape
    assert caches[0].full >= 2


def test_without_an_interval_nothing_is_kept(tiny: Model, caches: list[DeepCache]) -> None:
    pixels(tiny, Recipe(prompt="a cat", width=64, height=64, steps=2))
    assert not caches


def test_the_picture_is_near_the_full_one_and_the_nearer_the_smaller_the_interval(
    tiny: Model,
) -> None:
    recipe = replace(RECIPE, width=128, height=128, steps=20, cache_interval=1)
    (plain,) = pixels(tiny, recipe)
    near, far = (
        abs(pixels(tiny, replace(recipe, cache_interval=interval))[0] - plain).mean()
        for interval in (2, 10)
    )
    assert 0 < near < min(20, far / 2)


@pytest.mark.parametrize("sampler", ["lcm", "tcd"])
def test_samplers_of_few_steps_keep_nothing(
    tiny: Model, caches: list[DeepCache], sampler: str
) -> None:
    pixels(tiny, replace(RECIPE, sampler=sampler, steps=4))
    assert not caches


def test_a_picture_is_the_same_alone_in_a_batch_and_beside_others(tiny: Model) -> None:
    expected = pixels(tiny)[0]
    assert (pixels(tiny, replace(RECIPE, batch_size=2))[0] == expected).all()
    batcher = StepBatcher()
    recorder = FakeRecorder()
    shared = replace(tiny, step_batcher=batcher, graphs=Graphs(recorder))
    assert (pixels(shared)[0] == expected).all()
    assert (batcher.evaluations, recorder.recorded) == (0, 0)


@pytest.mark.parametrize("interval", [0, 11])
def test_an_interval_out_of_bounds_is_refused(interval: int) -> None:
    with pytest.raises(RecipeError, match=f"cache_interval is {interval}; it must be 1 to 10"):
        replace(RECIPE, cache_interval=interval)
