"""Previews: cheap pictures of what is being drawn, close enough to see what it becomes."""

import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d

from stable_diffusion.families.sd1 import SD1
from stable_diffusion.families.tiny import TINY
from stable_diffusion.generate import Evaluation, generate
from stable_diffusion.image import to_tensor
from stable_diffusion.model import Model
from stable_diffusion.networks import parts_of
from stable_diffusion.preview import LatentPreview, colour_chart, fitted
from stable_diffusion.recipe import Recipe
from stable_diffusion.shared_weights import clone_sharing_weights
from stable_diffusion.tiny import SMALL_DECODER_PATH

pytestmark = pytest.mark.heavy

PROMPTS = ("a red circle on a blue background", "a green cat on grass", "a dragon on a beach")
DRAWN = Recipe(prompt=PROMPTS[0], width=128, height=96, steps=20, seed=3)


def watched(model: Model, recipe: Recipe) -> tuple[Image.Image, list[Image.Image]]:
    """A picture and a preview of each of its evaluations."""
    projection = LatentPreview().projection(model)
    previews: list[Image.Image] = []
    (picture,) = generate(
        model, recipe, lambda evaluation: previews.append(projection(evaluation.denoised()[0]))
    )
    return picture.image, previews


def distance(preview: Image.Image, picture: Image.Image) -> float:
    """Mean squared error of values in -1..1."""
    small = avg_pool2d(to_tensor(picture)[None], 8)[0]
    return float((to_tensor(preview) - small).square().mean())


@pytest.mark.parametrize("prompt", PROMPTS)
def test_the_last_preview_is_close_to_the_picture(tiny: Model, prompt: str) -> None:
    picture, previews = watched(tiny, replace(DRAWN, prompt=prompt))
    small = avg_pool2d(to_tensor(picture)[None], 8)[0]
    last = to_tensor(previews[-1])

    assert previews[-1].size == (picture.width // 8, picture.height // 8)
    correlation = numpy.corrcoef(small.flatten(), last.flatten())[0, 1]
    assert correlation > 0.85
    peak_to_noise = 10 * numpy.log10(4 / distance(previews[-1], picture))
    assert peak_to_noise > 15


def shipped(name: str) -> Path | None:
    return {SMALL_DECODER_PATH.stem: SMALL_DECODER_PATH}.get(name)


def test_a_small_decoder_shows_the_picture_itself(tiny: Model) -> None:
    previews = LatentPreview(shipped)
    last: list[Tensor] = []
    (picture,) = generate(tiny, DRAWN, lambda each: last.append(each.denoised()[0]))
    preview = previews.image(tiny, last[-1])
    assert preview.size == picture.image.size
    error = (to_tensor(preview) - to_tensor(picture.image)).square().mean()
    assert 10 * numpy.log10(4 / float(error)) > 22

    wide = torch.zeros(4, 8, 64)
    assert previews.image(tiny, wide).size == (256, 32)


def test_where_a_small_decoder_would_slow_the_sampling_previews_are_projected(
    tiny: Model,
) -> None:
    previews = LatentPreview(shipped)
    assert previews.image(tiny, torch.zeros(4, 40, 40)).size == (40, 40)
    full_size = replace(tiny, family=SD1)
    everything = LatentPreview(lambda _name: SMALL_DECODER_PATH)
    assert everything.image(full_size, torch.zeros(4, 8, 8)).size == (8, 8)


@pytest.mark.parametrize("content", [b"nothing", None])
def test_a_small_decoder_that_cannot_be_read_is_logged_once_and_passed_over(
    tmp_path: Path, tiny: Model, caplog: pytest.LogCaptureFixture, content: bytes | None
) -> None:
    path = tmp_path / "damaged.safetensors"
    if content:
        path.write_bytes(content)
    previews = LatentPreview(lambda _name: path)
    for _ in range(3):
        assert previews.image(tiny, torch.zeros(4, 8, 8)).size == (8, 8)
    (record,) = caplog.records
    assert "damaged.safetensors" in record.getMessage()


@pytest.mark.parametrize("sampler", ["ddim", "plms", "k_euler_a", "k_dpmpp_2m_ka"])
def test_previews_sharpen_as_steps_advance(tiny: Model, sampler: str) -> None:
    first, middle, last = 0.0, 0.0, 0.0
    for prompt in PROMPTS:
        picture, previews = watched(tiny, replace(DRAWN, prompt=prompt, sampler=sampler))
        first += distance(previews[0], picture)
        middle += distance(previews[len(previews) // 2], picture)
        last += distance(previews[-1], picture)
    assert first > middle > last


@pytest.mark.parametrize("sampler", ["ddim", "plms", "k_euler_a", "k_dpmpp_sde_ka", "k_dpm_ad"])
def test_a_picture_is_the_same_to_the_last_bit_whether_it_was_watched_or_not(
    tiny: Model, sampler: str
) -> None:
    small = replace(DRAWN, width=64, height=64, steps=4, eta=0.5)
    # with little guidance, for which DPM adaptive takes half as many evaluations
    recipe = replace(small, sampler=sampler, guidance_scale=2.0)
    (alone,) = generate(tiny, recipe)
    picture, previews = watched(tiny, recipe)
    assert picture.tobytes() == alone.image.tobytes()
    assert len(previews) >= 4


def test_an_estimate_can_be_looked_at_later_and_elsewhere(tiny: Model) -> None:
    projection = LatentPreview().projection(tiny)
    now: list[bytes] = []
    kept: list[Callable[[], Tensor]] = []

    def look(evaluation: Evaluation) -> None:
        now.append(projection(evaluation.denoised()[0]).tobytes())
        kept.append(evaluation.denoised)

    list(generate(tiny, replace(DRAWN, steps=4), look))
    with ThreadPoolExecutor(1) as other:
        later = list(other.map(lambda denoised: projection(denoised()[0]).tobytes(), kept))
    assert later == now


class Linear:
    """A model whose autoencoder mixes the colours in a way of its own, and nothing else."""

    family = TINY

    mixing = torch.tensor([[0.9, -1.3, 0.2], [2.0, 0.4, -0.7], [-0.1, 0.5, 3.1], [1.0, 1.0, 1.0]])
    offset = torch.tensor([5.0, -2.0, 0.5, 0.0])

    def encode(self, picture: Tensor) -> Tensor:
        small = avg_pool2d(picture[None], 8)[0]
        return torch.einsum("lc,chw->lhw", self.mixing, small) + self.offset[:, None, None]


def test_any_mixture_of_colours_is_found_out() -> None:
    model = cast(Model, Linear())
    picture = torch.rand(3, 64, 128, generator=torch.Generator().manual_seed(1)) * 2 - 1

    preview = fitted(model)(model.encode(picture))

    assert preview.size == (16, 8)
    difference = to_tensor(preview) - avg_pool2d(picture[None], 8)[0]
    assert difference.abs().max() <= 2 / 127.5


def test_the_chart_shows_every_colour_once_and_no_two_alike_side_by_side() -> None:
    patches = colour_chart(8)[:, 8::16, 8::16].permute(1, 2, 0)
    assert len({tuple(colour.tolist()) for colour in patches.reshape(-1, 3)}) == 64
    assert (patches[1:] != patches[:-1]).any(-1).all()
    assert (patches[:, 1:] != patches[:, :-1]).any(-1).all()


def test_an_autoencoder_is_asked_once_whatever_models_and_threads_share_it(tiny: Model) -> None:
    with_lora = replace(
        tiny,
        networks=tiny.networks.with_parts(unet=clone_sharing_weights(tiny.networks.unet)),
        nbytes=0,
    )
    asked: list[int] = []
    hook = tiny.networks.vae.encoder.register_forward_hook(lambda *_: asked.append(1))
    try:
        projections = LatentPreview()
        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(projections.projection, [tiny, with_lora] * 8))
    finally:
        hook.remove()
    assert len(asked) == 1
    assert all(projection is found[0] for projection in found)


def test_fitting_changes_neither_the_model_nor_the_random_numbers(tiny: Model) -> None:
    def state() -> list[Tensor]:
        weights = [w for _, part in parts_of(tiny.networks) for w in part.state_dict().values()]
        return [torch.get_rng_state(), *(weight.clone() for weight in weights)]

    before = state()
    LatentPreview().projection(tiny)
    assert all(one.equal(other) for one, other in zip(before, state(), strict=True))


def test_a_model_that_is_gone_is_forgotten(tiny: Model) -> None:
    projections = LatentPreview()
    copied = replace(
        tiny, networks=tiny.networks.with_parts(vae=clone_sharing_weights(tiny.networks.vae))
    )
    projections.projection(copied)
    assert len(projections) == 1
    del copied
    gc.collect()
    assert len(projections) == 0


def test_a_model_whose_weights_rest_in_main_memory_is_fitted_there(tiny: Model) -> None:
    resting = replace(tiny, device=torch.device("cuda"))
    found = LatentPreview().projection(resting)
    torch.testing.assert_close(found.weight, fitted(tiny).weight, rtol=1e-4, atol=1e-4)
