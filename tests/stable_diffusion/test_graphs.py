"""What is recorded of a network answers as the network does, or is not used."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from stable_diffusion.generate import generate
from stable_diffusion.graphs import MOST, SEEN_BEFORE, Evaluation, Graphs
from stable_diffusion.loader import Loader
from stable_diffusion.lora import read_lora, with_loras
from stable_diffusion.memory_plan import apply_memory_plan
from stable_diffusion.model import Model
from stable_diffusion.recipe import Recipe
from stable_diffusion.tiny import PATH
from stable_diffusion.weights.fingerprint import Fingerprints

RECIPE = Recipe(prompt="a red circle on a blue background", width=64, height=64, steps=8, seed=9)
LAYER = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_k"
Inputs = tuple[Tensor, Tensor, Tensor]


@dataclass
class Memory:
    """Records as a GPU does: one place for the inputs and one for the answer, written anew.

    `spoil` does to an answer what a recording that went wrong would.
    """

    spoil: Callable[[Tensor], Tensor] = lambda answer: answer
    recorded: int = 0
    replayed: int = 0

    def __call__(self, evaluation: Evaluation, inputs: Inputs) -> Evaluation:
        self.recorded += 1
        own = tuple(tensor.clone() for tensor in inputs)

        def replay(*asked: Tensor) -> Tensor:
            self.replayed += 1
            for mine, new in zip(own, asked, strict=True):
                mine.copy_(new)
            time.sleep(0.001)  # long enough for another job to write there
            return self.spoil(evaluation(*own))

        return replay


def drawn(model: Model, recipe: Recipe = RECIPE) -> bytes:
    return next(generate(model, recipe)).image.tobytes()


def test_a_job_is_replayed_once_its_shape_was_seen(tiny: Model) -> None:
    memory = Memory()
    model = replace(tiny, graphs=Graphs(memory))
    assert drawn(model) == drawn(tiny)
    assert memory.recorded == 1
    assert memory.replayed == 1 + RECIPE.steps - SEEN_BEFORE  # one to see what it answers
    assert drawn(model) == drawn(tiny)
    assert memory.recorded == 1
    assert memory.replayed == 1 + 2 * RECIPE.steps - SEEN_BEFORE


def test_each_shape_is_recorded_for_itself(tiny: Model) -> None:
    memory = Memory()
    model = replace(tiny, graphs=Graphs(memory))
    wide, long = replace(RECIPE, width=96), replace(RECIPE, prompt="a red circle " * 40)
    for recipe in (RECIPE, wide, long):
        assert drawn(model, recipe) == drawn(tiny, recipe)
    assert memory.recorded == 3


def test_only_so_many_shapes_are_recorded() -> None:
    memory = Memory()
    graphs = Graphs(memory)
    for width in range(1, MOST + 5):
        for _ in range(SEEN_BEFORE + 1):
            x = torch.ones(1, 4, 1, width)
            assert graphs.evaluate(_sum, x, torch.ones(1), torch.ones(1, 1, 1)).equal(x + 2)
    assert memory.recorded == MOST


def test_a_large_evaluation_is_not_recorded() -> None:
    memory = Memory()
    graphs = Graphs(memory)
    for x in (torch.ones(4, 4, 64, 64), torch.ones(1, 4, 136, 128)):
        for _ in range(SEEN_BEFORE + 1):
            assert graphs.evaluate(_sum, x, torch.ones(1), torch.ones(1, 1, 1)).equal(x + 2)
    assert memory.recorded == 1, "four latents of 512 x 512 are recorded, more are not"


@pytest.mark.parametrize("wrong", [lambda x: x + 1, lambda x: x * float("nan")])
def test_a_recording_that_answers_otherwise_is_not_used(
    tiny: Model, wrong: Callable[[Tensor], Tensor], caplog: pytest.LogCaptureFixture
) -> None:
    memory = Memory(spoil=wrong)
    model = replace(tiny, graphs=Graphs(memory))
    assert drawn(model) == drawn(tiny)
    assert drawn(model) == drawn(tiny)
    assert (memory.recorded, memory.replayed) == (1, 1)
    assert "goes layer by layer" in caplog.text


def test_a_recording_that_fails_fails_no_job(tiny: Model, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_evaluation: Evaluation, _inputs: Inputs) -> Evaluation:
        raise torch.OutOfMemoryError("no room for a recording")

    assert drawn(replace(tiny, graphs=Graphs(fail))) == drawn(tiny)
    assert "no room for a recording" in caplog.text


def test_jobs_at_once_do_not_get_each_others_answers(tiny: Model) -> None:
    model = replace(tiny, graphs=Graphs(Memory()))
    recipes = [replace(RECIPE, seed=seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda recipe: drawn(model, recipe), recipes))
    assert together == [drawn(tiny, recipe) for recipe in recipes]


def test_a_deterministic_job_goes_layer_by_layer(tiny: Model) -> None:
    memory = Memory()
    drawn(replace(tiny, graphs=Graphs(memory)), replace(RECIPE, deterministic=True))
    assert not memory.recorded


def test_a_job_whose_weights_come_and_go_is_not_recorded(tiny: Model) -> None:
    model = replace(tiny, graphs=Graphs(Memory()))
    assert apply_memory_plan(model, RECIPE).graphs
    assert apply_memory_plan(model, replace(RECIPE, memory_plan="optimized")).graphs is None


def test_a_lora_is_recorded_for_itself(tiny: Model, tmp_path: Path) -> None:
    memory = Memory()
    model = replace(tiny, graphs=Graphs(memory))
    path = tmp_path / "style.safetensors"
    weight = tiny.networks.unet.get_parameter(f"{LAYER}.weight")
    names = (f"unet.{LAYER}.lora_B.weight", f"unet.{LAYER}.lora_A.weight")
    tensors = (torch.ones(weight.shape[0], 1), torch.ones(1, weight.shape[1]))
    save_file(dict(zip(names, tensors, strict=True)), path)
    drawn(model)
    changed = with_loras(model, [(read_lora(path), 1.0)])
    assert changed.graphs
    assert changed.graphs is not model.graphs
    assert with_loras(tiny, [(read_lora(path), 1.0)]).graphs is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("at_once", [1, 3])
def test_a_gpu_replays_what_it_computes(tmp_path: Path, at_once: int) -> None:
    fingerprints = Fingerprints(tmp_path / "fingerprints.json")
    plain = Loader("cuda:0", fingerprints, graphs=False).load("tiny", PATH)
    model = Loader("cuda:0", fingerprints).load("tiny", PATH)
    recipes = [replace(RECIPE, seed=seed, steps=12) for seed in range(at_once)]
    with ThreadPoolExecutor(at_once) as pool:
        together = list(pool.map(lambda recipe: drawn(model, recipe), recipes))
    apart = [torch.frombuffer(drawn(plain, recipe), dtype=torch.uint8) for recipe in recipes]
    for one, other in zip(together, apart, strict=True):
        pixels = torch.frombuffer(bytearray(one), dtype=torch.uint8)
        assert (pixels.int() - other.int()).abs().max() <= 2
    assert model.graphs
    assert any(model.graphs._ready.values())


def _sum(x: Tensor, timesteps: Tensor, text: Tensor) -> Tensor:
    return x + timesteps + text[0, 0]
