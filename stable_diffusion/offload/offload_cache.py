"""The plans of offloaded UNets, kept for their next jobs."""

import logging
import threading
import weakref
from dataclasses import dataclass

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import nn

from stable_diffusion.offload.plan import OffloadPlan, make_plan

log = logging.getLogger(__name__)

MAX_PINNED_BYTES = 8 * 2**30


@dataclass
class _Planned:
    """A plan, and the weights that it was made of. The plan is None once it was freed."""

    plan: OffloadPlan | None
    weights: tuple[weakref.ref[nn.Parameter], ...]
    dtype: torch.dtype | None

    def matches(self, unet: UNet2DConditionModel, dtype: torch.dtype | None) -> bool:
        """Whether the plan has the weights of this UNet, none of which was replaced."""
        weights = list(unet.parameters())
        same = (known() is weight for known, weight in zip(self.weights, weights, strict=False))
        return self.dtype == dtype and len(self.weights) == len(weights) and all(same)


class OffloadCache:
    """The plans of the UNets that were used last. Thread-safe.

    A plan is made once for each model, and freed with it. Pinned memory is lost to the rest of the
    machine, so plans beyond the limit are freed, the least recently used first.

    Args:
        max_bytes: see `make_plan`.
        device: where the UNets compute.
        max_pinned_bytes: main memory for all plans; a single one may exceed it.
    """

    def __init__(
        self,
        max_bytes: int | None,
        device: torch.device,
        max_pinned_bytes: int = MAX_PINNED_BYTES,
    ) -> None:
        self._max_bytes = max_bytes
        self._device = device
        self._max_pinned_bytes = max_pinned_bytes
        self._lock = threading.Lock()
        self._planned: list[_Planned] = []

    def plan(self, unet: UNet2DConditionModel, dtype: torch.dtype | None = None) -> OffloadPlan:
        """The UNet's plan, made now unless it is cached.

        Args:
            unet: the model's own, or one that shares all weights with it.
            dtype: as of `PinnedBuffer`.
        """
        with self._lock:
            self._planned = [one for one in self._planned if one.plan]
            for one in self._planned:
                if one.plan and one.matches(unet, dtype):
                    self._planned.remove(one)
                    self._planned.append(one)
                    return one.plan
            self._make_room(unet, dtype)
            return self._make(unet, dtype)

    def _make(self, unet: UNet2DConditionModel, dtype: torch.dtype | None) -> OffloadPlan:
        plan = make_plan(unet, self._max_bytes, self._device, dtype)
        weights = tuple(weakref.ref(weight) for weight in unet.parameters())
        planned = _Planned(plan, weights, dtype)
        self._planned.append(planned)
        # without the lock, since the garbage collector may call this in a thread that holds it
        weakref.finalize(unet, setattr, planned, "plan", None)
        log.info(
            "offloading a UNet: its weights take %d MB of the device, %d MB are streamed",
            plan.nbytes // 10**6,
            sum(buffer.nbytes for buffer in plan.streamed.values()) // 10**6,
        )
        return plan

    def _make_room(self, unet: UNet2DConditionModel, dtype: torch.dtype | None) -> None:
        """Free plans until another one fits, before its memory is allocated."""
        weights = list(unet.parameters())
        size = sum(weight.numel() * (dtype or weight.dtype).itemsize for weight in weights)
        while self._planned and size + self._pinned_bytes() > self._max_pinned_bytes:
            self._planned.pop(0).plan = None

    def _pinned_bytes(self) -> int:
        return sum(one.plan.host_nbytes for one in self._planned if one.plan)
