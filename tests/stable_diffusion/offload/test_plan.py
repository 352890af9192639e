"""A plan covers the whole UNet, keeps to its memory, and keeps layouts."""

import gc
import weakref

import pytest
import torch
from torch import nn

from stable_diffusion.model import Model
from stable_diffusion.networks import moved
from stable_diffusion.offload.offload_cache import OffloadCache
from stable_diffusion.offload.pinned_buffer import PinnedBuffer
from stable_diffusion.offload.plan import (
    STREAM_BUFFERS,
    OffloadPlan,
    make_plan,
    parts_in_order,
)
from stable_diffusion.shared_weights import clone_sharing_weights, fill_slots

CPU = torch.device("cpu")


def size_of(plan: OffloadPlan) -> int:
    return sum(buffer.nbytes for buffer in (*plan.resident, *plan.streamed.values()))


def streamed_bytes(plan: OffloadPlan) -> int:
    return sum(buffer.nbytes for buffer in plan.streamed.values())


@pytest.mark.parametrize("share", [0.4, 0.5, 0.7, 0.9, 1])
def test_a_plan_uses_the_memory_it_may_take(
    tiny: Model, streamed_plan: OffloadPlan, share: float
) -> None:
    most = share * size_of(streamed_plan)
    plan = make_plan(tiny.networks.unet, int(most), CPU)
    assert most - (STREAM_BUFFERS + 1) * streamed_plan.buffer_nbytes <= plan.nbytes <= most


def test_with_more_memory_less_is_streamed(tiny: Model, streamed_plan: OffloadPlan) -> None:
    quarter = -(-size_of(streamed_plan) // 4)
    streamed = [
        streamed_bytes(make_plan(tiny.networks.unet, share * quarter, CPU)) for share in range(5)
    ]
    assert streamed == sorted(streamed, reverse=True)
    assert streamed[0] > streamed[2] > streamed[4] == 0


def test_resident_parts_are_spread_among_streamed_ones(
    tiny: Model, streamed_plan: OffloadPlan
) -> None:
    streamed = list(make_plan(tiny.networks.unet, int(0.7 * size_of(streamed_plan)), CPU).streamed)
    order = parts_in_order(tiny.networks.unet)
    assert streamed == sorted(streamed, key=order.index)
    assert order.index(streamed[0]) < len(order) / 3
    assert order.index(streamed[-1]) > 2 * len(order) / 3


def test_a_plan_covers_the_whole_unet(tiny: Model, streamed_plan: OffloadPlan) -> None:
    weights = sum(weight.nbytes for weight in tiny.networks.unet.parameters())
    assert weights <= size_of(streamed_plan) < 1.1 * weights
    assert len(streamed_plan.streamed) == len(parts_in_order(tiny.networks.unet)) > 10


def test_without_a_limit_the_whole_unet_is_one_buffer(tiny: Model) -> None:
    plan = make_plan(tiny.networks.unet, None, CPU)
    assert not plan.streamed
    (whole,) = plan.resident
    weights = sum(weight.nbytes for weight in tiny.networks.unet.parameters())
    assert weights <= whole.nbytes < 1.1 * weights


def test_a_model_is_packed_once(tiny: Model) -> None:
    offload_cache = OffloadCache(None, CPU)
    unet = tiny.networks.unet
    other = clone_sharing_weights(unet, {"conv_in.weight": unet.conv_in.weight.detach().clone()})
    plan, of_other = offload_cache.plan(unet), offload_cache.plan(other)
    assert of_other is not plan
    assert offload_cache.plan(unet) is plan
    assert offload_cache.plan(clone_sharing_weights(unet)) is plan
    assert offload_cache.plan(other) is of_other
    in_half = offload_cache.plan(unet, torch.float16)
    assert size_of(in_half) < 0.6 * size_of(plan)


def test_the_plan_of_a_freed_model_is_freed(tiny: Model) -> None:
    offload_cache = OffloadCache(None, CPU)
    unet = clone_sharing_weights(tiny.networks.unet)
    plan = weakref.ref(offload_cache.plan(unet))
    del unet
    gc.collect()
    assert plan() is None


def test_plans_beyond_the_limit_are_freed_the_least_recently_used_first(tiny: Model) -> None:
    unet = tiny.networks.unet
    size = sum(weight.nbytes for weight in unet.parameters())
    offload_cache = OffloadCache(None, CPU, max_pinned_bytes=2 * size)
    types = torch.float32, torch.float16, torch.bfloat16
    plans = {dtype: weakref.ref(offload_cache.plan(unet, dtype)) for dtype in types}
    assert [dtype for dtype in types if plans[dtype]()] == [torch.float16, torch.bfloat16]


def test_weights_keep_their_layout_and_take_the_given_type() -> None:
    convolution, norm = nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5)
    network = nn.Sequential(convolution, norm)
    moved(convolution, channels_last=True)
    expected = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    buffer = PinnedBuffer(network, ["0", "1"], torch.float16)
    fill_slots(buffer.slots(network, buffer.host.clone()))
    assert convolution.weight.is_contiguous(memory_format=torch.channels_last)
    assert convolution.weight.dtype == torch.float16
    assert dict(norm.named_buffers())["num_batches_tracked"].dtype == torch.int64
    for name, tensor in network.state_dict().items():
        assert tensor.equal(expected[name].to(tensor.dtype))
