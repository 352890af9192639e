"""A streamed UNet computes what a resident one computes."""

from dataclasses import dataclass

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor

from stable_diffusion.conditioning import Conditioning
from stable_diffusion.families.tiny import TINY
from stable_diffusion.model import Model
from stable_diffusion.networks import unet_prediction
from stable_diffusion.offload.plan import OffloadPlan, make_plan
from stable_diffusion.offload.weight_streamer import WeightStreamer
from stable_diffusion.shared_weights import clone_sharing_weights
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
    """A copy of a model's UNet whose weights are streamed as planned."""

    model: Model
    plan: OffloadPlan

    def __post_init__(self) -> None:
        self.unet = clone_sharing_weights(self.model.networks.unet)
        self.copies = LateCopyStream()
        for name in self.plan.streamed:
            part = self.unet.get_submodule(name)
            part.register_forward_hook(lambda *_: self.copies.computed(), always_call=True)
        self.streamer = WeightStreamer(self.unet, self.plan, self.copies)


@pytest.mark.parametrize("share", [0, 0.3, 0.5, 0.7, 0.9, 1])
def test_the_prediction_is_the_same_at_any_resident_share(
    tiny: Model, streamed_plan: OffloadPlan, share: float
) -> None:
    it = Streamed(tiny, make_plan(tiny.networks.unet, int(share * size_of(streamed_plan)), CPU))
    it.streamer.load()
    for seed, side in ((1, 8), (2, 8), (3, 16)):
        assert evaluated(it.unet, seed, side).equal(evaluated(tiny.networks.unet, seed, side))
    assert it.copies.allocated == it.plan.nbytes


def test_while_a_part_computes_the_next_one_is_copied(
    tiny: Model, streamed_plan: OffloadPlan
) -> None:
    it = Streamed(tiny, make_plan(tiny.networks.unet, size_of(streamed_plan) // 2, CPU))
    being_copied: list[Tensor] = []
    for name in it.plan.streamed:
        it.unet.get_submodule(name).register_forward_hook(
            lambda *_: being_copied.extend(host for _, host, _ in it.copies.due)
        )
    it.streamer.load()
    evaluated(it.unet)
    first, *others = [buffer.host for buffer in it.plan.streamed.values()]
    assert list(map(id, being_copied)) == list(map(id, [*others, first]))


def test_unloading_restores_the_weights(tiny: Model, streamed_plan: OffloadPlan) -> None:
    it = Streamed(tiny, streamed_plan)
    resting = dict(tiny.networks.unet.named_parameters())
    it.streamer.load()
    evaluated(it.unet)
    assert not any(resting[name] is weight for name, weight in it.unet.named_parameters())
    it.streamer.unload()
    assert all(resting[name] is weight for name, weight in it.unet.named_parameters())


def test_it_loads_again_for_the_next_batch(tiny: Model, streamed_plan: OffloadPlan) -> None:
    it = Streamed(tiny, streamed_plan)
    for _ in range(2):
        it.streamer.load()
        it.streamer.load()
        assert evaluated(it.unet).equal(evaluated(tiny.networks.unet))
        it.streamer.unload()
    assert it.copies.allocated == 2 * streamed_plan.nbytes


def test_an_interrupted_evaluation_does_not_affect_the_next(
    tiny: Model, streamed_plan: OffloadPlan
) -> None:
    it = Streamed(tiny, streamed_plan)
    it.streamer.load()
    middle = it.unet.get_submodule(list(streamed_plan.streamed)[len(streamed_plan.streamed) // 2])
    *_, inside = middle.children()
    breaking = inside.register_forward_pre_hook(_break)
    with pytest.raises(InterruptedError):
        evaluated(it.unet)
    breaking.remove()
    assert evaluated(it.unet).equal(evaluated(tiny.networks.unet))


def _break(*_: object) -> None:
    raise InterruptedError
