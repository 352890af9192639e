"""The upscaler's training starts as an interpolation and resumes; and the included upscaler."""

import random
from pathlib import Path

import pytest
import torch

from stable_diffusion.load_model import load_model
from stable_diffusion.tiny import PATH, UPSCALER_PATH
from stable_diffusion.upscaling.rrdbnet import RRDBShape
from stable_diffusion.upscaling.upscale import Upscaler, load_upscaler
from training.degradation import degraded
from training.fidelity import (
    Comparison,
    compare,
    drawing,
    mixture,
    reconstructed,
    texture_pairs,
)
from training.interpolation import interpolator
from training.textures import clouds, dead_leaves, gradient, texture, waves
from training.upscaler import SHAPE, make_upscaler, save_upscaler

pytestmark = pytest.mark.heavy

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def shipped() -> Upscaler:
    torch.set_num_threads(1)
    return load_upscaler(UPSCALER_PATH)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("work")
    save_upscaler(make_upscaler(folder, 0.02, CPU, drawings=4), folder / "trained.safetensors")
    return folder


def test_an_untrained_network_interpolates() -> None:
    torch.manual_seed(0)
    untrained = Upscaler("untrained", interpolator(SHAPE).eval(), CPU)
    smooth = compare(untrained, "gradients", texture_pairs(gradient), 3)
    assert smooth.ours > smooth.bicubic - 6
    drawings = compare(untrained, "drawings", drawing, 2)
    assert drawings.ours > drawings.bicubic - 6


def test_a_network_with_too_few_features_cannot_interpolate() -> None:
    with pytest.raises(ValueError, match="12 features"):
        interpolator(RRDBShape(scale=2, features=8, blocks=1, growth=4))


def test_the_trained_file_is_an_upscaler_like_published_ones(work: Path) -> None:
    upscaler = load_upscaler(work / "trained.safetensors")
    assert upscaler.network.shape == SHAPE
    comparison = compare(upscaler, "drawings", drawing, 2)
    assert comparison.ours > comparison.bicubic - 6


def test_a_killed_training_resumes(work: Path) -> None:
    before = torch.load(work / "upscaler.pt", weights_only=True)
    done = make_upscaler(work, 0.02, CPU, drawings=4)
    assert torch.equal(done.conv_last.weight, before["average"]["module.conv_last.weight"])
    make_upscaler(work, (before["spent"] + 1) / 60, CPU, drawings=4)
    after = torch.load(work / "upscaler.pt", weights_only=True)
    assert after["spent"] > before["spent"]
    assert after["average"]["n_averaged"] > before["average"]["n_averaged"]
    assert not list(work.glob("*.partial"))


def test_degraded_pictures_have_half_the_size() -> None:
    rng = random.Random(0)
    sizes = {degraded(texture(64, rng), rng).size for _ in range(30)}
    assert sizes == {(32, 32)}


@pytest.mark.parametrize("kind", [gradient, clouds, waves, dead_leaves])
def test_textures_are_pictures(kind: type) -> None:
    pixels = kind(64, random.Random(1))
    assert pixels.shape == (64, 64, 3)
    assert 0 <= pixels.min() < pixels.max() <= 1


def test_the_shipped_file_is_small() -> None:
    assert UPSCALER_PATH.stat().st_size < 1_000_000


def test_it_beats_bicubic_on_drawings(shipped: Upscaler) -> None:
    comparison = compare(shipped, "drawings", drawing, 4)
    assert comparison.ours > comparison.bicubic + 2


def test_it_beats_bicubic_on_what_the_tiny_model_makes(shipped: Upscaler) -> None:
    through_autoencoder = reconstructed(load_model(PATH, name="tiny"))
    comparison = compare(shipped, "returned", through_autoencoder, 3)
    assert comparison.ours > comparison.bicubic + 0.3


def test_it_leaves_gradients_smooth(shipped: Upscaler) -> None:
    comparison = compare(shipped, "gradients", texture_pairs(gradient), 4)
    assert comparison.ours > comparison.bicubic


@pytest.mark.parametrize("kind", [dead_leaves, waves])
def test_it_beats_bicubic_on_edges_and_lines_of_every_sort(shipped: Upscaler, kind: type) -> None:
    comparison = compare(shipped, kind.__name__, texture_pairs(kind), 4)
    assert comparison.ours > comparison.bicubic


def test_it_keeps_pictures_without_edges(shipped: Upscaler) -> None:
    comparison = compare(shipped, "clouds", texture_pairs(clouds), 4)
    assert comparison.ours > comparison.bicubic - 1.5


def test_it_beats_bicubic_on_a_mixture_of_everything(shipped: Upscaler) -> None:
    comparison = compare(shipped, "mixture", mixture, 8)
    assert comparison.ours > comparison.bicubic + 0.5


def test_a_comparison_is_a_line_of_a_table() -> None:
    assert str(Comparison("waves", 40.126, 39.0)) == "| waves | 40.13 | 39.00 |"
