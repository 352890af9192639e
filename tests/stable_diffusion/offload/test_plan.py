"""A packed UNet is whole, in little memory, and where its modules look for it."""

import weakref

import pytest
import torch
from torch import nn

from stable_diffusion.model import Model
from stable_diffusion.networks import moved
from stable_diffusion.offload.pinned_buffer import PinnedBuffer
from stable_diffusion.offload.plan import PLACES, OffloadCache, OffloadPlan, pack, parts_in_order
from stable_diffusion.sharing import clone_sharing_weights, fill_slots

CPU = torch.device("cpu")


def size_of(packed: OffloadPlan) -> int:
    return sum(parcel.nbytes for parcel in (*packed.stays, *packed.comes.values()))


def to_bring(packed: OffloadPlan) -> int:
    return sum(parcel.nbytes for parcel in packed.comes.values())


@pytest.mark.parametrize("share", [0.4, 0.5, 0.7, 0.9, 1])
def test_it_takes_the_memory_it_may_take_and_uses_it(
    tiny: Model, apart: OffloadPlan, share: float
) -> None:
    most = share * size_of(apart)
    packed = pack(tiny.networks.unet, int(most), CPU)
    assert most - (PLACES + 1) * apart.place_nbytes <= packed.nbytes <= most


def test_more_memory_leaves_less_to_bring(tiny: Model, apart: OffloadPlan) -> None:
    quarter = -(-size_of(apart) // 4)
    brought = [to_bring(pack(tiny.networks.unet, share * quarter, CPU)) for share in range(5)]
    assert brought == sorted(brought, reverse=True)
    assert brought[0] > brought[2] > brought[4] == 0


def test_those_that_stay_are_spread_among_those_that_come(tiny: Model, apart: OffloadPlan) -> None:
    comes = list(pack(tiny.networks.unet, int(0.7 * size_of(apart)), CPU).comes)
    order = parts_in_order(tiny.networks.unet)
    assert comes == sorted(comes, key=order.index)
    assert order.index(comes[0]) < len(order) / 3
    assert order.index(comes[-1]) > 2 * len(order) / 3


def test_nothing_of_a_unet_is_left_out(tiny: Model, apart: OffloadPlan) -> None:
    weights = sum(weight.nbytes for weight in tiny.networks.unet.parameters())
    assert weights <= size_of(apart) < 1.1 * weights
    assert len(apart.comes) == len(parts_in_order(tiny.networks.unet)) > 10


def test_only_the_last_unet_stays_packed(tiny: Model) -> None:
    offload_cache = OffloadCache(0, CPU)
    other = clone_sharing_weights(tiny.networks.unet)
    packed = offload_cache.packed(tiny.networks.unet)
    assert offload_cache.packed(tiny.networks.unet) is packed
    in_half = offload_cache.packed(tiny.networks.unet, torch.float16)
    assert size_of(in_half) < 0.6 * size_of(packed)
    gone = weakref.ref(packed)
    del packed
    assert gone() is None
    assert offload_cache.packed(other, torch.float16) is not in_half


def test_weights_keep_their_layout_and_take_the_type_asked_for() -> None:
    convolution, norm = nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5)
    network = nn.Sequential(convolution, norm)
    moved(convolution, channels_last=True)
    expected = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    parcel = PinnedBuffer(network, ["0", "1"], torch.float16)
    fill_slots(parcel.unpacked(network, parcel.home.clone()))
    assert convolution.weight.is_contiguous(memory_format=torch.channels_last)
    assert convolution.weight.dtype == torch.float16
    assert dict(norm.named_buffers())["num_batches_tracked"].dtype == torch.int64
    for name, tensor in network.state_dict().items():
        assert tensor.equal(expected[name].to(tensor.dtype))
