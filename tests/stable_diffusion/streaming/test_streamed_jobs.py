"""Jobs whose networks come to the device are drawn as by a model that is at hand."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from stable_diffusion import memory_plan
from stable_diffusion.generate import generate
from stable_diffusion.half import with_half
from stable_diffusion.loader import Loader
from stable_diffusion.lora import read_lora, with_loras
from stable_diffusion.model import Model
from stable_diffusion.networks import Networks, parts_of
from stable_diffusion.recipe import Recipe
from stable_diffusion.sharing import twin
from stable_diffusion.streaming.luggage import Luggage
from stable_diffusion.streaming.transport import CudaTransport, Moment
from stable_diffusion.tiny import PATH
from stable_diffusion.weights.fingerprint import Fingerprints
from tests.stable_diffusion.streaming.late_transport import LateTransport

pytestmark = pytest.mark.heavy

RECIPE = Recipe(prompt="a red circle", width=64, height=64, steps=3, seed=9, precision="full")
CPU = torch.device("cpu")


def on_call(model: Model, recipe: Recipe) -> Model:
    """The model as a GPU would have it for a job, whose weights this device brings to itself."""
    planned = memory_plan._on_call(model, replace(model, networks=twins(model)), recipe)
    return replace(planned, luggage=None)


def twins(model: Model) -> Networks:
    return Networks(*(twin(network) for _, network in parts_of(model.networks)))  # type: ignore[arg-type]


@pytest.mark.parametrize("turbo", [False, True])
@pytest.mark.parametrize("precision", ["full", "autocast"])
@pytest.mark.parametrize("most", [None, 0, 3_000_000])
def test_a_job_is_drawn_with_weights_that_come(
    tiny: Model, monkeypatch: pytest.MonkeyPatch, most: int | None, precision: str, turbo: bool
) -> None:
    transports: list[LateTransport] = []
    monkeypatch.setattr(
        memory_plan, "CudaTransport", lambda _: transports.append(LateTransport()) or transports[-1]
    )
    luggage = None if most is None else Luggage(most, CPU)
    recipe = replace(RECIPE, memory_plan="optimized", precision=precision, turbo=turbo)
    whole = with_half(tiny.networks, torch.float16)
    planned = on_call(replace(tiny, luggage=luggage), recipe)
    as_planned = replace(recipe, memory_plan="standard", iterations=2, unet_batch=1)
    expected = [p.image.tobytes() for p in generate(replace(tiny, networks=whole), as_planned)]
    assert [p.image.tobytes() for p in generate(planned, as_planned)] == expected
    weights = sum(weight.nbytes for weight in tiny.networks.unet.parameters())
    for transport in transports:
        assert 0 < transport.taken < (1 if turbo else 2) * weights
    here = planned.networks.unet.conv_in.weight is not tiny.networks.unet.conv_in.weight
    assert here == turbo, "with turbo it stays for the next batch, else it goes"


def test_a_job_that_is_stopped_takes_its_weights_away(
    tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_plan, "CudaTransport", lambda _: LateTransport())
    recipe = replace(RECIPE, memory_plan="optimized")
    planned = on_call(replace(tiny, luggage=Luggage(0, CPU)), recipe)
    with pytest.raises(InterruptedError):
        next(generate(planned, RECIPE, _break))
    resting = dict(tiny.networks.unet.named_parameters())
    assert all(resting[name] is w for name, w in planned.networks.unet.named_parameters())


def test_a_lora_comes_with_the_weights(
    tiny: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A changed network is another one to the luggage, though most of its weights are the same."""
    monkeypatch.setattr(memory_plan, "CudaTransport", lambda _: LateTransport())
    layer = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_k"
    width, inside = tiny.networks.unet.get_parameter(f"{layer}.weight").shape
    names = f"unet.{layer}.lora_B.weight", f"unet.{layer}.lora_A.weight"
    tensors = torch.ones(width, 1), torch.ones(1, inside)
    save_file(dict(zip(names, tensors, strict=True)), tmp_path / "style.safetensors")
    resting = replace(tiny, luggage=Luggage(0, CPU))
    changed = with_loras(resting, [(read_lora(tmp_path / "style.safetensors"), 1.0)])
    optimized = replace(RECIPE, memory_plan="optimized")
    drawn = {
        name: next(generate(on_call(model, optimized), RECIPE)).image.tobytes()
        for name, model in (("plain", resting), ("changed", changed), ("plain again", resting))
    }
    at_hand = replace(changed, luggage=None)
    assert drawn["changed"] == next(generate(at_hand, RECIPE)).image.tobytes()
    assert drawn["changed"] != drawn["plain"] == drawn["plain again"]


class SlowTransport(CudaTransport):
    """A GPU's, with copies that take longer than computing: who does not wait reads garbage."""

    def bring(self, home: Tensor, place: Tensor, after: Moment) -> Moment:
        with torch.cuda.stream(self._copies):
            torch.cuda._sleep(1_000_000)
        return super().bring(home, place, after)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("transport", [CudaTransport, SlowTransport])
@pytest.mark.parametrize("megabytes", [1, 8, 1000])
def test_on_a_gpu_it_draws_the_picture_of_the_whole_network(
    tmp_path: Path,
    megabytes: int,
    transport: type[CudaTransport],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory_plan, "CudaTransport", transport)
    fingerprints = Fingerprints(tmp_path / "fingerprints.json")
    whole = Loader("cuda:0", fingerprints).load("tiny", PATH, on_call=True)
    loader = Loader("cuda:0", fingerprints, most_on_call=megabytes * 10**6)
    little = loader.load("tiny", PATH, on_call=True)
    for seed, turbo in ((1, False), (2, True), (3, False)):
        recipe = replace(
            RECIPE, memory_plan="optimized", precision="autocast", seed=seed, turbo=turbo
        )
        assert next(generate(little, recipe)).image == next(generate(whole, recipe)).image


def _break(*_: object) -> None:
    raise InterruptedError
