"""A UNet whose weights come while it computes answers as one that has them, in less memory."""

import weakref
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor, nn

from stable_diffusion import memory_plan
from stable_diffusion.generate import generate
from stable_diffusion.half import with_half
from stable_diffusion.loader import Loader
from stable_diffusion.lora import read_lora, with_loras
from stable_diffusion.model import Model
from stable_diffusion.networks import Networks, parts_of, placed, unet_prediction
from stable_diffusion.recipe import Recipe
from stable_diffusion.sharing import hold, twin
from stable_diffusion.streaming.luggage import PLACES, Luggage, Packed, pack, parts_in_order
from stable_diffusion.streaming.parcel import Parcel
from stable_diffusion.streaming.stream import Stream
from stable_diffusion.streaming.transport import CudaTransport
from stable_diffusion.tiny import PATH
from stable_diffusion.variants import TINY
from stable_diffusion.weights.fingerprint import Fingerprints

RECIPE = Recipe(prompt="a red circle", width=64, height=64, steps=3, seed=9, precision="full")
CPU = torch.device("cpu")
GARBAGE = 0xFF
"""Four of these are no number."""


@dataclass(frozen=True)
class Moment:
    """Later ones have greater numbers."""

    number: int


@dataclass
class LateTransport:
    """Copies as late as a device may, and spoils what is copied over as early as it may."""

    clock: int = 0
    taken: int = 0
    """Bytes of memory."""
    due: list[tuple[Moment, Tensor, Tensor]] = field(default_factory=list)
    _filled: dict[Moment, int] = field(default_factory=dict)
    _used: dict[int, Moment] = field(default_factory=dict)
    _in_use: int = 0

    def memory(self, nbytes: int) -> Tensor:
        self.taken += nbytes
        return torch.full((nbytes,), GARBAGE, dtype=torch.uint8)

    def now(self) -> Moment:
        self.clock += 1
        return Moment(self.clock)

    def bring(self, home: Tensor, place: Tensor, after: Moment) -> Moment:
        last_used = self._used.get(place.data_ptr(), Moment(0))
        assert after.number > last_used.number, "overwritten before it has computed"
        place.fill_(GARBAGE)
        there = self.now()
        self.due.append((there, home, place))
        self._filled[there] = place.data_ptr()
        return there

    def wait(self, moment: Moment) -> None:
        while self.due and self.due[0][0].number <= moment.number:
            _, home, place = self.due.pop(0)
            place[: len(home)].copy_(home)
        self._in_use = self._filled[moment]

    def computed(self) -> None:
        """A part that waited for its weights has computed."""
        self._used[self._in_use] = self.now()


def evaluated(unet: UNet2DConditionModel, seed: int = 1, side: int = 8) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(1, 4, side, side, generator=random)
    text = torch.randn(1, 77, TINY.context_width, generator=random)
    with torch.inference_mode():
        return unet_prediction(unet, x, torch.tensor([500.0]), text)


@pytest.fixture(scope="module")
def apart(tiny: Model) -> Packed:
    """The tiny model's UNet of which as little stays as can be."""
    return pack(tiny.networks.unet, 0, CPU)


def size_of(packed: Packed) -> int:
    return sum(parcel.nbytes for parcel in (*packed.stays, *packed.comes.values()))


def size_of_weights(network: nn.Module) -> int:
    return sum(weight.nbytes for weight in network.parameters())


def to_bring(packed: Packed) -> int:
    return sum(parcel.nbytes for parcel in packed.comes.values())


@dataclass
class Streamed:
    """A twin of a UNet, for the weights of `packed`."""

    unet: UNet2DConditionModel
    packed: Packed

    def __post_init__(self) -> None:
        self.transport = LateTransport()
        for name in self.packed.comes:
            part = self.unet.get_submodule(name)
            part.register_forward_hook(lambda *_: self.transport.computed(), always_call=True)
        self.stream = Stream(self.unet, self.packed, self.transport)


def streamed(model: Model, apart: Packed, share: float) -> Streamed:
    """The model's UNet, which may have a share of its weights at once."""
    packed = pack(model.networks.unet, int(share * size_of(apart)), CPU)
    return Streamed(twin(model.networks.unet), packed)


@pytest.mark.parametrize("share", [0, 0.3, 0.5, 0.7, 0.9, 1])
def test_it_answers_as_the_network_does_at_any_share(
    tiny: Model, apart: Packed, share: float
) -> None:
    it = streamed(tiny, apart, share)
    it.stream.come()
    for seed, side in ((1, 8), (2, 8), (3, 16)):
        assert evaluated(it.unet, seed, side).equal(evaluated(tiny.networks.unet, seed, side))
    assert it.transport.taken == it.packed.nbytes


def test_while_a_part_computes_the_next_one_is_copied(tiny: Model, apart: Packed) -> None:
    it = streamed(tiny, apart, 0.5)
    on_their_way: list[Tensor] = []
    for name in it.packed.comes:
        it.unet.get_submodule(name).register_forward_hook(
            lambda *_: on_their_way.extend(home for _, home, _ in it.transport.due)
        )
    it.stream.come()
    evaluated(it.unet)
    first, *others = [parcel.home for parcel in it.packed.comes.values()]
    assert list(map(id, on_their_way)) == list(map(id, [*others, first]))


@pytest.mark.parametrize("share", [0.4, 0.5, 0.7, 0.9, 1])
def test_it_takes_the_memory_it_may_take_and_uses_it(
    tiny: Model, apart: Packed, share: float
) -> None:
    most = share * size_of(apart)
    packed = pack(tiny.networks.unet, int(most), CPU)
    assert most - (PLACES + 1) * apart.place_nbytes <= packed.nbytes <= most


def test_more_memory_leaves_less_to_bring(tiny: Model, apart: Packed) -> None:
    quarter = -(-size_of(apart) // 4)
    brought = [to_bring(pack(tiny.networks.unet, share * quarter, CPU)) for share in range(5)]
    assert brought == sorted(brought, reverse=True)
    assert brought[0] > brought[2] > brought[4] == 0


def test_those_that_stay_are_spread_among_those_that_come(tiny: Model, apart: Packed) -> None:
    comes = list(streamed(tiny, apart, 0.7).packed.comes)
    order = parts_in_order(tiny.networks.unet)
    assert comes == sorted(comes, key=order.index)
    assert order.index(comes[0]) < len(order) / 3
    assert order.index(comes[-1]) > 2 * len(order) / 3


def test_nothing_of_a_unet_is_left_out(tiny: Model, apart: Packed) -> None:
    weights = size_of_weights(tiny.networks.unet)
    assert weights <= size_of(apart) < 1.1 * weights
    assert len(apart.comes) == len(parts_in_order(tiny.networks.unet)) > 10


def test_after_a_job_the_network_is_as_it_was(tiny: Model, apart: Packed) -> None:
    it, resting = (
        Streamed(twin(tiny.networks.unet), apart),
        dict(tiny.networks.unet.named_parameters()),
    )
    it.stream.come()
    evaluated(it.unet)
    assert not any(resting[name] is weight for name, weight in it.unet.named_parameters())
    it.stream.go()
    assert all(resting[name] is weight for name, weight in it.unet.named_parameters())


def test_it_comes_again_for_the_next_batch(tiny: Model, apart: Packed) -> None:
    it = Streamed(twin(tiny.networks.unet), apart)
    for _ in range(2):
        it.stream.come()
        it.stream.come()
        assert evaluated(it.unet).equal(evaluated(tiny.networks.unet))
        it.stream.go()
    assert it.transport.taken == 2 * apart.nbytes


def test_an_evaluation_that_broke_off_does_not_spoil_the_next(tiny: Model, apart: Packed) -> None:
    it = Streamed(twin(tiny.networks.unet), apart)
    it.stream.come()
    middle = it.unet.get_submodule(list(apart.comes)[len(apart.comes) // 2])
    *_, inside = middle.children()
    breaking = inside.register_forward_pre_hook(_break)
    with pytest.raises(InterruptedError):
        evaluated(it.unet)
    breaking.remove()
    assert evaluated(it.unet).equal(evaluated(tiny.networks.unet))


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
    monkeypatch.setattr(LateTransport, "computed", lambda _: None)
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
    for transport in transports:
        assert 0 < transport.taken < (1 if turbo else 2) * size_of_weights(tiny.networks.unet)
    here = planned.networks.unet.conv_in.weight is not tiny.networks.unet.conv_in.weight
    assert here == turbo, "with turbo it stays for the next batch, else it goes"


def test_a_job_that_is_stopped_takes_its_weights_away(
    tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_plan, "CudaTransport", lambda _: LateTransport())
    monkeypatch.setattr(LateTransport, "computed", lambda _: None)
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
    monkeypatch.setattr(LateTransport, "computed", lambda _: None)
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


def test_only_the_last_unet_stays_packed(tiny: Model) -> None:
    luggage = Luggage(0, CPU)
    other = twin(tiny.networks.unet)
    packed = luggage.packed(tiny.networks.unet)
    assert luggage.packed(tiny.networks.unet) is packed
    in_half = luggage.packed(tiny.networks.unet, torch.float16)
    assert size_of(in_half) < 0.6 * size_of(packed)
    gone = weakref.ref(packed)
    del packed
    assert gone() is None
    assert luggage.packed(other, torch.float16) is not in_half


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


def test_weights_keep_their_layout_and_take_the_type_asked_for() -> None:
    convolution, norm = nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5)
    network = nn.Sequential(convolution, norm)
    placed(convolution, channels_last=True)
    expected = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    parcel = Parcel(network, ["0", "1"], torch.float16)
    hold(parcel.unpacked(network, parcel.home.clone()))
    assert convolution.weight.is_contiguous(memory_format=torch.channels_last)
    assert convolution.weight.dtype == torch.float16
    assert dict(norm.named_buffers())["num_batches_tracked"].dtype == torch.int64
    for name, tensor in network.state_dict().items():
        assert tensor.equal(expected[name].to(tensor.dtype))


def _break(*_: object) -> None:
    raise InterruptedError
