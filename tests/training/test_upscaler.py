"""The upscaler: begins as an interpolation, learns, goes on after a kill; and the shipped one."""

import random
from pathlib import Path

import pytest
import torch

from stable_diffusion.model import load_model
from stable_diffusion.rrdbnet import RRDBShape
from stable_diffusion.tiny import PATH, UPSCALER_PATH
from stable_diffusion.upscale import Upscaler, load_upscaler
from training.degradation import degraded
from training.fidelity import (
    Figure,
    drawing,
    judge,
    made_of,
    mixture,
    returned,
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
    save_upscaler(make_upscaler(folder, 0.05, CPU, drawings=4), folder / "made.safetensors")
    return folder


def test_an_untaught_network_interpolates() -> None:
    torch.manual_seed(0)
    beginner = Upscaler("beginner", interpolator(SHAPE).eval(), CPU)
    smooth = judge(beginner, "gradients", made_of(gradient), 3)
    assert smooth.ours > smooth.bicubic - 6
    drawn = judge(beginner, "drawings", drawing, 2)
    assert drawn.ours > drawn.bicubic - 6


def test_a_network_without_room_for_the_picture_cannot_interpolate() -> None:
    with pytest.raises(ValueError, match="12 features"):
        interpolator(RRDBShape(scale=2, features=8, blocks=1, growth=4))


def test_what_training_leaves_is_an_upscaler_as_published(work: Path) -> None:
    upscaler = load_upscaler(work / "made.safetensors")
    assert upscaler.network.shape == SHAPE
    figure = judge(upscaler, "drawings", drawing, 2)
    assert figure.ours > figure.bicubic - 6


def test_a_training_that_was_killed_goes_on_where_it_stopped(work: Path) -> None:
    before = torch.load(work / "upscaler.pt", weights_only=True)
    done = make_upscaler(work, 0.05, CPU, drawings=4)
    assert torch.equal(done.conv_last.weight, before["average"]["module.conv_last.weight"])
    make_upscaler(work, 0.08, CPU, drawings=4)
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
    figure = judge(shipped, "drawings", drawing, 4)
    assert figure.ours > figure.bicubic + 2


def test_it_beats_bicubic_on_what_the_tiny_model_makes(shipped: Upscaler) -> None:
    through_autoencoder = returned(load_model(PATH, name="tiny"))
    figure = judge(shipped, "returned", through_autoencoder, 3)
    assert figure.ours > figure.bicubic + 0.3


def test_it_leaves_gradients_smooth(shipped: Upscaler) -> None:
    figure = judge(shipped, "gradients", made_of(gradient), 4)
    assert figure.ours > figure.bicubic


@pytest.mark.parametrize("kind", [dead_leaves, waves])
def test_it_beats_bicubic_on_edges_and_lines_of_every_sort(shipped: Upscaler, kind: type) -> None:
    figure = judge(shipped, kind.__name__, made_of(kind), 4)
    assert figure.ours > figure.bicubic


def test_it_does_not_ruin_what_has_no_edges(shipped: Upscaler) -> None:
    figure = judge(shipped, "clouds", made_of(clouds), 4)
    assert figure.ours > figure.bicubic - 1.5


def test_it_beats_bicubic_on_a_mixture_of_everything(shipped: Upscaler) -> None:
    figure = judge(shipped, "mixture", mixture, 8)
    assert figure.ours > figure.bicubic + 0.5


def test_a_figure_is_a_line_of_a_table() -> None:
    assert str(Figure("waves", 40.126, 39.0)) == "| waves | 40.13 | 39.00 |"
