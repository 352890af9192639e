"""The distillation to a few steps, and the LoRA that it made."""

import copy
import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from stable_diffusion import tiny
from stable_diffusion.families.tiny import TINY
from stable_diffusion.load_model import load_model
from stable_diffusion.lora import read_lora, with_loras
from stable_diffusion.model import Model
from stable_diffusion.samplers.schedule import NoiseSchedule
from stable_diffusion.weights.checkpoint import open_checkpoint
from training.classifier import IconClassifier
from training.consistency import ConsistencyTrainer, Distillation, PathShare, consistency
from training.denoiser import build_unet
from training.eval_tasks import single_objects
from training.evaluate import judged
from training.few_steps import METADATA, make_few_step_lora
from training.low_rank import LowRankChanges
from training.metrics import Evaluator
from training.setup import TrainingSetup, load_trainable
from training.trajectories import Trajectories, solver_timesteps

CPU = torch.device("cpu")
(LORA,) = tiny.LORA_PATHS
PLAN = Distillation(1e-3, {(64, 64): PathShare(1.0, 2, 4, seed=1)})


def test_at_timestep_0_the_consistency_function_returns_its_input() -> None:
    x, epsilon = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    alphas = NoiseSchedule().alphas_cumprod.float()
    last, first = torch.tensor([0, 0]), torch.tensor([999, 999])
    assert torch.equal(consistency(x, last, epsilon, alphas), x)
    predicted = (x - (1 - alphas[999]).sqrt() * epsilon) / alphas[999].sqrt()
    torch.testing.assert_close(consistency(x, first, epsilon, alphas), predicted)


def test_a_path_visits_the_timesteps_of_the_students_sampler() -> None:
    schedule = NoiseSchedule()
    few = schedule.timestep(schedule.lcm_sigmas(4)[:-1]).round().long().tolist()
    assert solver_timesteps(schedule)[::3] == few == [999, 759, 499, 259]


def test_the_factors_get_the_gradients_of_the_products() -> None:
    torch.manual_seed(1)
    layers = nn.Sequential(nn.Conv2d(4, 6, 3), nn.Flatten(), nn.Linear(24, 5))
    plain = copy.deepcopy(layers).requires_grad_(False)
    changes = LowRankChanges(layers, rank=3)
    for up in changes.up.values():
        nn.init.normal_(up)
    x = torch.randn(2, 4, 4, 4)
    changes.apply_to_network()
    layers(x).square().sum().backward()
    changes.backward()
    found = [parameter.grad for parameter in changes.parameters()]
    changes.zero_grad()  # sets them to None
    names = ["0.weight", "2.weight"]
    sums: dict[str, torch.Tensor] = dict(zip(names, changes.sums(), strict=True))
    torch.func.functional_call(plain, sums, x).square().sum().backward()
    expected = [parameter.grad for parameter in changes.parameters()]
    for each, other in zip(found, expected, strict=True):
        assert each is not None
        assert each.abs().max() > 0
        torch.testing.assert_close(each, other)


def test_a_training_step_brings_the_student_nearer_to_the_end_of_the_paths() -> None:
    torch.manual_seed(1)
    trainer = ConsistencyTrainer(build_unet(TINY), CPU)
    paths = Trajectories(torch.randn(2, 13, 4, 8, 8).half(), torch.randn(2, 77, 48).half())
    losses = [trainer.step(paths, 4, 1e-3, random.Random(1)) for _ in range(6)]
    assert losses[-1] < losses[0]


@pytest.mark.heavy
def test_a_short_distillation_makes_a_lora_that_loads_and_resumes(tmp_path: Path) -> None:
    made = tmp_path / "made.safetensors"

    def distil() -> TrainingSetup:
        base = load_trainable(tiny.PATH, TINY, CPU)
        setup = TrainingSetup(tmp_path, CPU, 0.01, TINY, base=base)
        make_few_step_lora(setup, PLAN, made)
        return setup

    first = distil()
    before = load_file(made)
    model = load_model(tiny.PATH, name="tiny")
    changed = with_loras(model, [(read_lora(made), 1.0)])
    assert not changed.warnings
    trained = dict(first.base.unet.named_parameters()) if first.base else {}
    for name, weight in changed.networks.unet.named_parameters():
        torch.testing.assert_close(weight, trained[name].detach(), rtol=0, atol=1e-4)
    distil()  # its time is spent: nothing is trained
    after = load_file(made)
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


@pytest.fixture(scope="module")
def fast() -> tuple[Model, Evaluator]:
    model, options = judged(LORA)
    return model, Evaluator(model, 256, IconClassifier(), options)


def test_the_included_lora_fits_tiny_and_says_what_it_is(fast: tuple[Model, Evaluator]) -> None:
    model, _ = fast
    assert not model.warnings
    assert LORA.stat().st_size <= 6_000_000
    assert open_checkpoint(LORA).metadata == METADATA


@pytest.mark.heavy
def test_four_steps_without_guidance_give_the_colours_of_the_prompt(
    fast: tuple[Model, Evaluator],
) -> None:
    _, evaluator = fast
    colours, _, alone = single_objects(evaluator, 12)
    assert colours.value >= 11 / 12
    assert alone.value >= 10 / 12
