"""An offloaded model gives the pictures of a resident one."""

from dataclasses import replace
from pathlib import Path

import numpy
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from stable_diffusion import memory_plan
from stable_diffusion.cuda.graphs import RECORD_AFTER, Graphs
from stable_diffusion.generate import generate
from stable_diffusion.loader import Loader
from stable_diffusion.lora import read_lora, with_loras
from stable_diffusion.model import Model
from stable_diffusion.networks import Networks
from stable_diffusion.offload.copy_stream import CudaCopyStream, Event
from stable_diffusion.offload.offload_cache import OffloadCache
from stable_diffusion.recipe import Recipe
from stable_diffusion.shared_weights import clone_sharing_weights
from stable_diffusion.tiny import PATH
from stable_diffusion.weights.fingerprint import Fingerprints
from tests.stable_diffusion.cuda.test_graphs import FakeRecorder
from tests.stable_diffusion.layouts import with_unet_in
from tests.stable_diffusion.offload.late_copy_stream import LateCopyStream

pytestmark = pytest.mark.heavy

RECIPE = Recipe(prompt="a red circle", width=64, height=64, steps=2, seed=9, precision="full")
CPU = torch.device("cpu")


def offloaded(model: Model, recipe: Recipe) -> Model:
    """The model as it is offloaded from a GPU, here from the CPU to itself."""
    planned = memory_plan._offloaded(model, replace(model, networks=clones(model)), recipe)
    return replace(planned, offload_cache=None)


def clones(model: Model) -> Networks:
    return model.networks.map(clone_sharing_weights)


@pytest.mark.parametrize(
    ("max_bytes", "precision", "turbo"),
    [  # each pair of values once
        (None, "full", False),
        (None, "autocast", True),
        (0, "full", True),
        (0, "autocast", False),
        (3_000_000, "full", True),
        (3_000_000, "autocast", False),
    ],
)
def test_a_job_gives_the_same_pictures_offloaded(
    tiny: Model, monkeypatch: pytest.MonkeyPatch, max_bytes: int | None, precision: str, turbo: bool
) -> None:
    streams: list[LateCopyStream] = []
    monkeypatch.setattr(
        memory_plan,
        "CudaCopyStream",
        lambda _: streams.append(LateCopyStream()) or streams[-1],
    )
    offload_cache = OffloadCache(max_bytes, CPU)
    recipe = replace(RECIPE, memory_plan="optimized", precision=precision, turbo=turbo)
    dtype = torch.float32 if precision == "full" else torch.float16
    whole = with_unet_in(tiny.networks, dtype)
    planned = offloaded(replace(tiny, offload_cache=offload_cache), recipe)
    as_planned = replace(recipe, memory_plan="standard", iterations=2, unet_batch=1)
    expected = [p.image.tobytes() for p in generate(replace(tiny, networks=whole), as_planned)]
    assert [p.image.tobytes() for p in generate(planned, as_planned)] == expected
    weights = sum(weight.nbytes for weight in tiny.networks.unet.parameters())
    for stream in streams:
        assert 0 < stream.allocated < (1 if turbo else 2) * 1.01 * weights
    resident = planned.networks.unet.conv_in.weight is not tiny.networks.unet.conv_in.weight
    assert resident == turbo, "turbo keeps the weights for the next batch"


def test_a_cancelled_job_unloads_its_weights(tiny: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_plan, "CudaCopyStream", lambda _: LateCopyStream())
    recipe = replace(RECIPE, memory_plan="optimized")
    planned = offloaded(replace(tiny, offload_cache=OffloadCache(0, CPU)), recipe)
    with pytest.raises(InterruptedError):
        next(generate(planned, RECIPE, _break))
    in_main_memory = dict(tiny.networks.unet.named_parameters())
    assert all(in_main_memory[name] is w for name, w in planned.networks.unet.named_parameters())


@pytest.mark.parametrize("turbo", [False, True])
def test_a_stopped_job_leaves_no_copy_to_memory_that_it_frees(
    tiny: Model, monkeypatch: pytest.MonkeyPatch, turbo: bool
) -> None:
    stream = LateCopyStream()
    monkeypatch.setattr(memory_plan, "CudaCopyStream", lambda _: stream)
    recipe = replace(RECIPE, memory_plan="optimized", turbo=turbo)
    planned = offloaded(replace(tiny, offload_cache=OffloadCache(0, CPU)), recipe)
    with pytest.raises(InterruptedError):
        next(generate(planned, RECIPE, _break))
    assert stream.clock > 0
    assert not stream.due


def test_a_guided_step_copies_weights_once_at_any_number_of_latents_at_once(
    tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    unet = clone_sharing_weights(tiny.networks.unet)
    middle = unet.get_submodule("mid_block.resnets.0.conv1")
    middle.register_forward_hook(lambda *given: seen.append(len(given[2])))
    model = replace(tiny, networks=tiny.networks.with_parts(unet=unet))
    made, copies = [], []
    for at_once, expected in ((None, [4]), (1, [1] * 4)):
        stream = LateCopyStream()
        monkeypatch.setattr(memory_plan, "CudaCopyStream", lambda _, it=stream: it)
        recipe = replace(RECIPE, memory_plan="optimized", unet_batch=at_once, batch_size=2, steps=1)
        planned = offloaded(replace(model, offload_cache=OffloadCache(0, CPU)), recipe)
        recipe = replace(recipe, memory_plan="standard")
        seen.clear()  # the plan has evaluated it, too
        made.append([numpy.asarray(one.image).astype(int) for one in generate(planned, recipe)])
        copies.append(stream.clock)
        assert seen == expected, "latents of two guided pictures"
    assert len(set(copies)) == 1
    for one, other in zip(*made, strict=True):
        assert abs(one - other).max() <= 1


def test_evaluations_with_resident_weights_are_recorded_for_one_batch(
    tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_plan, "CudaCopyStream", lambda _: LateCopyStream())
    recorder = FakeRecorder()
    model = replace(tiny, graphs=Graphs(recorder))
    recipe = replace(RECIPE, memory_plan="optimized", steps=RECORD_AFTER + 1, iterations=2)
    planned = offloaded(replace(model, offload_cache=OffloadCache(None, CPU)), recipe)
    made = [one.image for one in generate(planned, replace(recipe, memory_plan="standard"))]
    assert made == [one.image for one in generate(tiny, replace(recipe, unet_batch=2))]
    assert recorder.recorded == 2, "weights are at other addresses in the next batch"
    streamed = offloaded(replace(model, offload_cache=OffloadCache(0, CPU)), recipe)
    assert streamed.graphs is None


def test_a_lora_is_offloaded_with_the_weights(
    tiny: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache tells a changed network from the one it shares most weights with."""
    monkeypatch.setattr(memory_plan, "CudaCopyStream", lambda _: LateCopyStream())
    layer = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_k"
    width, inside = tiny.networks.unet.get_parameter(f"{layer}.weight").shape
    names = f"unet.{layer}.lora_B.weight", f"unet.{layer}.lora_A.weight"
    tensors = torch.ones(width, 1), torch.ones(1, inside)
    save_file(dict(zip(names, tensors, strict=True)), tmp_path / "style.safetensors")
    tiny_offloaded = replace(tiny, offload_cache=OffloadCache(0, CPU))
    changed = with_loras(tiny_offloaded, [(read_lora(tmp_path / "style.safetensors"), 1.0)])
    optimized = replace(RECIPE, memory_plan="optimized")
    pictures = {
        name: next(generate(offloaded(model, optimized), RECIPE)).image.tobytes()
        for name, model in (
            ("plain", tiny_offloaded),
            ("changed", changed),
            ("plain again", tiny_offloaded),
        )
    }
    resident = replace(changed, offload_cache=None)
    assert pictures["changed"] == next(generate(resident, RECIPE)).image.tobytes()
    assert pictures["changed"] != pictures["plain"] == pictures["plain again"]


class SlowCopyStream(CudaCopyStream):
    """Copies that take longer than computing: an evaluation that does not wait reads garbage."""

    def copy_async(self, host: Tensor, buffer: Tensor, after: Event) -> Event:
        with torch.cuda.stream(self._copies):
            torch.cuda._sleep(1_000_000)
        return super().copy_async(host, buffer, after)


@pytest.mark.gpu
@pytest.mark.parametrize("copy_stream", [CudaCopyStream, SlowCopyStream])
@pytest.mark.parametrize("megabytes", [1, 8, 1000])
def test_on_a_gpu_a_streamed_unet_gives_the_picture_of_a_whole_one(
    tmp_path: Path,
    megabytes: int,
    copy_stream: type[CudaCopyStream],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory_plan, "CudaCopyStream", copy_stream)
    fingerprints = Fingerprints(tmp_path / "fingerprints.json")
    whole = Loader("cuda:0", fingerprints).load("tiny", PATH, offloaded=True)
    loader = Loader("cuda:0", fingerprints, max_unet_bytes=megabytes * 10**6)
    little = loader.load("tiny", PATH, offloaded=True)
    for seed, turbo in ((1, False), (2, True), (3, False)):
        recipe = replace(
            RECIPE, memory_plan="optimized", precision="autocast", seed=seed, turbo=turbo
        )
        assert next(generate(little, recipe)).image == next(generate(whole, recipe)).image


def _break(*_: object) -> None:
    raise InterruptedError
