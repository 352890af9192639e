"""Masked scenes, the model that learns from them, and the included one."""

import random
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
import torch

from stable_diffusion import tiny
from stable_diffusion.families.tiny import TINY, TINY_INPAINT
from stable_diffusion.load_model import load_model
from stable_diffusion.weights.saving import save_checkpoint
from tests.training.test_shipped_model import QUICK
from training.captions import SIDE_WORDS
from training.classifier import IconClassifier
from training.denoiser import Stage
from training.drawings import draw, thing_box
from training.eval_inpainting import drawing, half_mask, inpainting
from training.inpainting import masked_scenes
from training.masks import masked_caption, random_mask
from training.metrics import Evaluator
from training.pixel_checks import main_colour
from training.scenes import Scene, Thing, random_scene
from training.setup import TrainingSetup, load_trainable
from training.train import make_model, make_unet

CPU = torch.device("cpu")
PAIR = Scene((Thing("cat", "red", "left"), Thing("star", "blue", "right")), "white")


def words_of(side: str, seed: int) -> str:
    pieces = masked_caption(PAIR, half_mask(side, 128), random.Random(seed))
    return " ".join(piece.words for piece in pieces)


def test_a_thing_lies_where_its_box_is() -> None:
    rng = random.Random(1)
    for _ in range(20):
        scene = replace(random_scene(rng, pairs=1.0), background="white")
        with_both = numpy.asarray(draw(scene, 128, 128, random.Random(2)))
        left, top, right, bottom = thing_box(scene.things[0], scene, 128, 128)
        outside = with_both.copy()
        outside[max(0, top - 8) : bottom + 8, max(0, left - 8) : right + 8] = 246
        assert (outside[:, :56] > 200).mean() > 0.95


def test_a_caption_names_what_comes_under_the_mask_and_may_leave_out_the_rest() -> None:
    captions = [words_of("right", seed) for seed in range(200)]
    assert not any("cat" in words and "star" not in words for words in captions)
    alone = [words for words in captions if "star" in words and "cat" not in words]
    assert len(alone) > 60
    sides = {side for side in SIDE_WORDS["right"] for words in alone if side in words}
    assert sides
    assert sum(not any(side in words for side in sides) for words in alone) > 20


def test_masks_leave_something_and_take_something() -> None:
    rng = random.Random(3)
    shares = [
        random_mask(random_scene(rng), 128, 128, rng).histogram()[255] / 128**2 for _ in range(300)
    ]
    assert min(shares) > 0
    assert 0.03 < sum(share == 1 for share in shares) / 300 < 0.2


@pytest.mark.heavy
def test_a_model_that_takes_a_mask_begins_with_the_pictures_of_its_base(tmp_path: Path) -> None:
    base = load_trainable(tiny.PATH, TINY, CPU)
    stage = Stage("short", 0.05, 1e-3, {(64, 64): (1.0, 4)})
    scenes = {(64, 64): (16, 1)}
    setup = TrainingSetup(tmp_path, CPU, 0.2, TINY_INPAINT, (stage,), base=base, scenes=scenes)
    weight = make_unet(setup).conv_in.weight
    assert torch.equal(weight[:, :4], base.unet.conv_in.weight)
    assert not weight[:, 4:].any()
    (networks,) = make_model(setup)
    save_checkpoint(networks, TINY_INPAINT, tmp_path / "made.safetensors")
    assert load_model(tmp_path / "made.safetensors", name="made").family == TINY_INPAINT
    again = masked_scenes(tmp_path, base.full_vae, 16, 1, (64, 64), CPU)
    assert again.inputs.shape == (16, 5, 8, 8)


@pytest.fixture(scope="module")
def evaluator() -> Evaluator:
    model = load_model(tiny.PATH_INPAINT, name="tiny-inpaint")
    return Evaluator(model, 256, IconClassifier(), QUICK)


@pytest.mark.heavy
def test_the_included_model_draws_what_the_prompt_names_where_the_mask_is(
    evaluator: Evaluator,
) -> None:
    colours, *_ = inpainting(evaluator, 6)
    assert colours.value >= 5 / 6


@pytest.mark.heavy
def test_a_red_circle_comes_into_the_masked_half_and_nowhere_else(evaluator: Evaluator) -> None:
    source = drawing(random.Random(4), Thing("square", "blue", side="left"), "white", 256)
    inputs = {"init": source, "mask": half_mask("right", 256)}
    result = evaluator.picture("a red circle", 5, inputs=inputs, strength=1.0)
    left, right = (result.crop((x, 0, x + 128, 256)) for x in (0, 128))
    assert main_colour(right, "white") == "red"
    assert main_colour(left, "white") == "blue"
