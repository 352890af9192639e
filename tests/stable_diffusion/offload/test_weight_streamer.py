"""A UNet whose weights come while it computes answers as one that has them."""

from dataclasses import dataclass

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor

from stable_diffusion.conditioning import Conditioning
from stable_diffusion.model import Model
from stable_diffusion.networks import unet_prediction
from stable_diffusion.offload.plan import OffloadPlan, pack
from stable_diffusion.offload.weight_streamer import Stream
from stable_diffusion.sharing import clone_sharing_weights
from stable_diffusion.variants import TINY
from tests.stable_diffusion.offload.late_copy_stream import LateCopyStream
from tests.stable_diffusion.offload.test_plan import size_of

CPU = torch.device("cpu")


def evaluated(unet: UNet2DConditionModel, seed: int = 1, side: int = 8) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(1, 4, side, side, generator=random)
    text = torch.randn(1, 77, TINY.context_width, generator=random)
    with torch.inference_mode():
        return unet_prediction(unet, x, torch.tensor([500.0]), Conditioning(text))


@dataclass
class Streamed:
    """A clone_sharing_weights of a model's UNet, with the weights of `packed`."""

    model: Model
    packed: OffloadPlan

    def __post_init__(self) -> None:
        self.unet = clone_sharing_weights(self.model.networks.unet)
        self.transport = LateCopyStream()
        for name in self.packed.comes:
            part = self.unet.get_submodule(name)
            part.register_forward_hook(lambda *_: self.transport.computed(), always_call=True)
        self.stream = Stream(self.unet, self.packed, self.transport)


@pytest.mark.parametrize("share", [0, 0.3, 0.5, 0.7, 0.9, 1])
def test_it_answers_as_the_network_does_at_any_share(
    tiny: Model, apart: OffloadPlan, share: float
) -> None:
    it = Streamed(tiny, pack(tiny.networks.unet, int(share * size_of(apart)), CPU))
    it.stream.come()
    for seed, side in ((1, 8), (2, 8), (3, 16)):
        assert evaluated(it.unet, seed, side).equal(evaluated(tiny.networks.unet, seed, side))
    assert it.transport.taken == it.packed.nbytes


def test_while_a_part_computes_the_next_one_is_copied(tiny: Model, apart: OffloadPlan) -> None:
    it = Streamed(tiny, pack(tiny.networks.unet, size_of(apart) // 2, CPU))
    on_their_way: list[Tensor] = []
    for name in it.packed.comes:
        it.unet.get_submodule(name).register_forward_hook(
            lambda *_: on_their_way.extend(home for _, home, _ in it.transport.due)
        )
    it.stream.come()
    evaluated(it.unet)
    first, *others = [parcel.home for parcel in it.packed.comes.values()]
    assert list(map(id, on_their_way)) == list(map(id, [*others, first]))


def test_after_a_job_the_network_is_as_it_was(tiny: Model, apart: OffloadPlan) -> None:
    it = Streamed(tiny, apart)
    resting = dict(tiny.networks.unet.named_parameters())
    it.stream.come()
    evaluated(it.unet)
    assert not any(resting[name] is weight for name, weight in it.unet.named_parameters())
    it.stream.go()
    assert all(resting[name] is weight for name, weight in it.unet.named_parameters())


def test_it_comes_again_for_the_next_batch(tiny: Model, apart: OffloadPlan) -> None:
    it = Streamed(tiny, apart)
    for _ in range(2):
        it.stream.come()
        it.stream.come()
        assert evaluated(it.unet).equal(evaluated(tiny.networks.unet))
        it.stream.go()
    assert it.transport.taken == 2 * apart.nbytes


def test_an_evaluation_that_broke_off_does_not_spoil_the_next(
    tiny: Model, apart: OffloadPlan
) -> None:
    it = Streamed(tiny, apart)
    it.stream.come()
    middle = it.unet.get_submodule(list(apart.comes)[len(apart.comes) // 2])
    *_, inside = middle.children()
    breaking = inside.register_forward_pre_hook(_break)
    with pytest.raises(InterruptedError):
        evaluated(it.unet)
    breaking.remove()
    assert evaluated(it.unet).equal(evaluated(tiny.networks.unet))


def _break(*_: object) -> None:
    raise InterruptedError
