"""A recording reproduces what the network computes, or is not used."""

import weakref
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from stable_diffusion.conditioning import Conditioning
from stable_diffusion.cuda.graphs import (
    MAX_RECORDED_BYTES,
    MAX_RECORDINGS,
    RECORD_AFTER,
    Function,
    Graphs,
    Tensors,
)
from stable_diffusion.generate import generate
from stable_diffusion.loader import Loader
from stable_diffusion.lora import read_lora, with_loras
from stable_diffusion.memory_plan import apply_memory_plan
from stable_diffusion.model import Model
from stable_diffusion.recipe import Recipe
from stable_diffusion.tiny import PATH
from stable_diffusion.weights.fingerprint import Fingerprints
from tests.stable_diffusion.fake_recorder import FakeRecorder

pytestmark = pytest.mark.heavy

RECIPE = Recipe(prompt="a red circle on a blue background", width=64, height=64, steps=8, seed=9)
TEXT = Conditioning(torch.ones(1, 1, 1))
LAYER = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_k"


def generated(model: Model, recipe: Recipe = RECIPE) -> bytes:
    return next(generate(model, recipe)).image.tobytes()


def test_a_shape_seen_several_times_is_replayed(tiny: Model) -> None:
    recorder = FakeRecorder()
    model = replace(tiny, graphs=Graphs(recorder))
    assert generated(model) == generated(tiny)
    assert recorder.recorded == 1
    assert recorder.replayed == 1 + RECIPE.steps - RECORD_AFTER  # one of them compares the outputs
    assert generated(model) == generated(tiny)
    assert recorder.recorded == 1
    assert recorder.replayed == 1 + 2 * RECIPE.steps - RECORD_AFTER


def test_each_shape_has_its_own_recording(tiny: Model) -> None:
    recorder = FakeRecorder()
    model = replace(tiny, graphs=Graphs(recorder))
    wide, long = replace(RECIPE, width=96), replace(RECIPE, prompt="a red circle " * 40)
    for recipe in (RECIPE, wide, long):
        assert generated(model, recipe) == generated(tiny, recipe)
    assert recorder.recorded == 3


def test_at_most_max_recordings_are_made() -> None:
    recorder = FakeRecorder()
    graphs = Graphs(recorder)
    for width in range(1, MAX_RECORDINGS + 5):
        for _ in range(RECORD_AFTER + 1):
            x = torch.ones(1, 4, 1, width)
            assert graphs.evaluate(_sum, x, torch.ones(1), TEXT).equal(x + 2)
    assert recorder.recorded == MAX_RECORDINGS


def test_a_recording_copies_every_tensor_of_the_conditioning() -> None:
    def network(x: Tensor, _timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        return x + sum(tensor.sum() for tensor in conditioning.tensors)

    recorder = FakeRecorder()
    graphs = Graphs(recorder)
    for number in range(1, 2 * RECORD_AFTER + 1):
        one = torch.full((1, 1), float(number))
        text = Conditioning(one[None], one, 10 * one, (100 * one, 1000 * one))
        output = graphs.evaluate(network, torch.zeros(1, 4, 1, 1), torch.ones(1), text)
        assert output.unique().tolist() == [1112 * number]
    assert recorder.replayed == 1 + RECORD_AFTER


def test_a_pooled_embedding_is_not_replayed_as_time_ids() -> None:
    def network(x: Tensor, _timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        return x + (1 if conditioning.pooled is not None else 2)

    graphs, one = Graphs(FakeRecorder()), torch.ones(1, 1)
    pooled, sizes = Conditioning(one[None], one), Conditioning(one[None], time_ids=one)
    for text, expected in ((pooled, 1), (sizes, 2)) * (RECORD_AFTER + 1):
        output = graphs.evaluate(network, torch.zeros(1, 4, 1, 1), torch.ones(1), text)
        assert output.unique().tolist() == [expected]


def test_a_large_evaluation_is_not_recorded() -> None:
    recorder = FakeRecorder()
    graphs = Graphs(recorder)
    for rows, side, recorded in ((8, 64, 1), (2, 96, 2), (2, 128, 3), (9, 64, 3), (3, 128, 3)):
        x = torch.ones(rows, 4, side, side)
        for _ in range(RECORD_AFTER + 1):
            assert graphs.evaluate(_sum, x, torch.ones(1), TEXT).equal(x + 2)
        assert recorder.recorded == recorded, f"{rows} latents of {8 * side} x {8 * side}"


def evaluate_often(graphs: Graphs, widths: Iterable[int]) -> None:
    for width in widths:
        for _ in range(RECORD_AFTER + 1):
            graphs.evaluate(_sum, torch.ones(1, 4, 1, width), torch.ones(1), TEXT)


def test_no_more_is_recorded_than_the_memory_for_recordings() -> None:
    recorder = FakeRecorder(size=MAX_RECORDED_BYTES // 3)
    graphs = Graphs(recorder)
    evaluate_often(graphs, range(1, 8))
    assert recorder.recorded == 4, "the last one may exceed it"
    graphs.clear()
    evaluate_often(graphs, range(1, 8))
    assert recorder.recorded == 8, "cleared recordings leave their memory to others"


def test_what_could_not_be_recorded_is_not_tried_again() -> None:
    recorder = FakeRecorder(spoil=lambda output: output + 1)
    graphs = Graphs(recorder)
    for _ in range(2):
        evaluate_often(graphs, [1, 2])
        graphs.clear()
    assert recorder.recorded == 2


def test_recordings_are_freed_with_their_graphs() -> None:
    graphs = Graphs(FakeRecorder())
    evaluate_often(graphs, [1])
    (replay,) = map(weakref.ref, filter(None, graphs._recordings.values()))
    assert replay()
    del graphs
    assert replay() is None


@pytest.mark.parametrize("wrong", [lambda x: x + 1, lambda x: x * float("nan")])
def test_a_recording_with_another_output_is_not_used(
    tiny: Model, wrong: Callable[[Tensor], Tensor], caplog: pytest.LogCaptureFixture
) -> None:
    recorder = FakeRecorder(spoil=wrong)
    model = replace(tiny, graphs=Graphs(recorder))
    assert generated(model) == generated(tiny)
    assert generated(model) == generated(tiny)
    assert (recorder.recorded, recorder.replayed) == (1, 1)
    assert "runs layer by layer" in caplog.text


def test_a_recording_that_fails_fails_no_job(tiny: Model, caplog: pytest.LogCaptureFixture) -> None:
    class Failing(FakeRecorder):
        def __call__(self, function: Function, inputs: Tensors) -> Function:
            raise torch.OutOfMemoryError("no room for a recording")

    assert generated(replace(tiny, graphs=Graphs(Failing()))) == generated(tiny)
    assert "no room for a recording" in caplog.text


def test_concurrent_jobs_get_their_own_outputs(tiny: Model) -> None:
    model = replace(tiny, graphs=Graphs(FakeRecorder()))
    recipes = [replace(RECIPE, seed=seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda recipe: generated(model, recipe), recipes))
    assert together == [generated(tiny, recipe) for recipe in recipes]


def test_a_deterministic_job_runs_layer_by_layer(tiny: Model) -> None:
    recorder = FakeRecorder()
    generated(replace(tiny, graphs=Graphs(recorder)), replace(RECIPE, deterministic=True))
    assert not recorder.recorded


def test_an_offloaded_job_is_not_recorded(tiny: Model) -> None:
    model = replace(tiny, graphs=Graphs(FakeRecorder()))
    assert apply_memory_plan(model, RECIPE).graphs
    assert apply_memory_plan(model, replace(RECIPE, memory_plan="optimized")).graphs is None


def test_a_model_with_a_lora_has_its_own_recordings(tiny: Model, tmp_path: Path) -> None:
    recorder = FakeRecorder()
    model = replace(tiny, graphs=Graphs(recorder))
    path = tmp_path / "style.safetensors"
    weight = tiny.networks.unet.get_parameter(f"{LAYER}.weight")
    names = (f"unet.{LAYER}.lora_B.weight", f"unet.{LAYER}.lora_A.weight")
    tensors = (torch.ones(weight.shape[0], 1), torch.ones(1, weight.shape[1]))
    save_file(dict(zip(names, tensors, strict=True)), path)
    generated(model)
    changed = with_loras(model, [(read_lora(path), 1.0)])
    assert changed.graphs
    assert changed.graphs is not model.graphs
    assert with_loras(tiny, [(read_lora(path), 1.0)]).graphs is None


@pytest.mark.gpu
@pytest.mark.parametrize("at_once", [1, 3])
def test_a_gpu_replays_what_it_computes(tmp_path: Path, at_once: int) -> None:
    fingerprints = Fingerprints(tmp_path / "fingerprints.json")
    plain = Loader("cuda:0", fingerprints, graphs=False).load("tiny", PATH)
    model = Loader("cuda:0", fingerprints).load("tiny", PATH)
    recipes = [replace(RECIPE, seed=seed, steps=12) for seed in range(at_once)]
    with ThreadPoolExecutor(at_once) as pool:
        together = list(pool.map(lambda recipe: generated(model, recipe), recipes))
    apart = [torch.frombuffer(generated(plain, recipe), dtype=torch.uint8) for recipe in recipes]
    for one, other in zip(together, apart, strict=True):
        pixels = torch.frombuffer(bytearray(one), dtype=torch.uint8)
        assert (pixels.int() - other.int()).abs().max() <= 2
    assert model.graphs
    assert any(model.graphs._recordings.values())


def _sum(x: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
    return x + timesteps + conditioning.context[0, 0]
