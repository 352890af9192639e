"""Quality of the included models; `make eval` uses ten times as many prompts."""

from pathlib import Path

import pytest
import torch

from stable_diffusion.families.family import Family, Prediction
from stable_diffusion.families.tiny import TINY, TINY_V2, TINY_XL
from stable_diffusion.load_model import load_model
from stable_diffusion.model import Model
from stable_diffusion.tiny import PATH, PATH_V2, PATH_XL, PATHS
from stable_diffusion.weights.checkpoint import open_checkpoint
from training.classifier import IconClassifier
from training.eval_prompts import eval_prompts
from training.eval_tasks import WEIGHTS, blends, emphasis, pairs, single_objects
from training.metrics import Evaluator, Metric
from training.pixel_checks import background_right, half, main_colour, object_count

pytestmark = pytest.mark.heavy

QUICK: dict[str, object] = {"steps": 12, "sampler": "k_dpmpp_2m_ka"}
"""Half the steps of `make eval`, with a sampler that needs fewer."""


@pytest.fixture(scope="module", params=(PATH, PATH_V2), ids=lambda path: path.stem)
def path(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture(scope="module")
def model(path: Path) -> Model:
    return load_model(path, name=path.stem)


@pytest.fixture(scope="module")
def evaluator(model: Model) -> Evaluator:
    return Evaluator(model, 256, IconClassifier(), QUICK)


@pytest.fixture(scope="module")
def small_evaluator(model: Model) -> Evaluator:
    """Half the native size: a picture takes a quarter of the time."""
    return Evaluator(model, 128, IconClassifier(), QUICK)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_it_is_small_enough_for_the_repository(path: Path) -> None:
    assert path.stat().st_size <= 16_000_000


@pytest.mark.parametrize(
    ("path", "family", "prediction", "text"),
    [
        (PATH, TINY, "epsilon", "cond_stage_model"),
        (PATH_V2, TINY_V2, "v", "cond_stage_model"),
        (PATH_XL, TINY_XL, "epsilon", "conditioner"),
    ],
)
def test_its_tensors_are_half_precision_under_the_original_names_of_its_kind(
    path: Path, family: Family, prediction: Prediction, text: str
) -> None:
    model = load_model(path, name="x")
    assert (model.family, model.prediction) == (family, prediction)
    checkpoint = open_checkpoint(path)
    assert all(checkpoint.read(name).dtype == torch.float16 for name in checkpoint.names)
    starts = {name.split(".")[0] for name in checkpoint.names}
    assert starts == {"model", "first_stage_model", text}


def test_two_text_encoders_draw_what_the_prompt_says() -> None:
    model = load_model(PATH_XL, name="tiny-xl")
    (colours, *_) = single_objects(Evaluator(model, 128, IconClassifier(), QUICK), 6)
    assert colours.value >= 0.8
    (wins,) = blends(Evaluator(model, 256, IconClassifier(), QUICK), 1)
    assert wins.value >= 0.75


def test_objects_and_backgrounds_have_the_colours_of_the_prompt(
    evaluator: Evaluator, small_evaluator: Evaluator
) -> None:
    right = 0
    for number, wanted in enumerate(eval_prompts(12, seed=1)):
        at_size = evaluator if number % 3 == 0 else small_evaluator
        image = at_size.picture(wanted.prompt, wanted.seed)
        right += (
            background_right(image, wanted.background)
            and main_colour(image, wanted.background) == wanted.colour
        )
    assert right >= 10


def test_two_things_have_each_its_own_colour_on_its_own_side(evaluator: Evaluator) -> None:
    (right,) = pairs(evaluator, 6)
    assert right.value >= 0.8


def test_the_readmes_example_shows_a_dragon_and_a_guitar_on_a_beach(evaluator: Evaluator) -> None:
    image = evaluator.picture("a red scaley dragon playing a guitar on a beach", 42)
    assert background_right(image, "beach")
    sides = [main_colour(image, "beach", half(image, side)) for side in ("left", "right")]
    assert sides[0] == "red"
    assert object_count(image, "beach") >= 2


def test_a_weak_img2img_keeps_its_source_and_a_strong_one_follows_the_prompt(
    evaluator: Evaluator,
) -> None:
    source = evaluator.picture("a green star on a white background", 5)
    weak, strong = (
        evaluator.picture("a purple duck on a beach", 6, inputs={"init": source}, strength=strength)
        for strength in (0.2, 0.9)
    )
    assert main_colour(weak, "white") == "green"
    assert background_right(weak, "white")
    assert background_right(strong, "beach")
    assert main_colour(strong, "beach") == "purple"


def test_the_heavier_of_two_blended_prompts_wins(evaluator: Evaluator) -> None:
    (wins,) = blends(evaluator, 1)
    assert wins.value >= 0.75


def test_emphasis_makes_the_thing_larger(
    small_evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    lightest, heaviest = WEIGHTS[0], WEIGHTS[-1]
    monkeypatch.setattr("training.eval_tasks.WEIGHTS", (lightest, heaviest))
    light, heavy, *_ = (metric.value for metric in emphasis(small_evaluator, 4))
    assert heavy > 1.2 * light


def test_unknown_words_change_almost_nothing(evaluator: Evaluator) -> None:
    plain = evaluator.picture("a red circle on a blue background", 3)
    odd = evaluator.picture("a red circle on a blue background, qwertz trending zebra", 3)
    assert main_colour(plain, "blue") == main_colour(odd, "blue") == "red"
    assert background_right(odd, "blue")


def test_a_metric_is_one_line_of_the_report(small_evaluator: Evaluator) -> None:
    few = list(single_objects(small_evaluator, 1))
    assert [type(metric) for metric in few] == [Metric] * 3
    assert "128 px" in str(few[0])
    assert "≥ 0.98" in str(few[0])
