"""The plan of the type `optimized`: a model's weights are at hand only while they are worked with.

Where they rest depends on the device. On a CPU it is the file of a ready copy, of which the kernel
lends pages: a layer's are given back when it has computed. On a GPU it is main memory: a network is
on the device only while it works, and a UNet that may not come whole comes part by part (see
`streaming`). `turbo` keeps what has come until a whole network has done its work, or on a GPU until
the job has ended. A GPU has a UNet at hand in half precision only, so a job in full precision is
one of these, too.

Attention needs no plan: PyTorch's never holds the matrix of all pairs that slicing was made for.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from stable_diffusion.model import Model
from stable_diffusion.networks import Networks
from stable_diffusion.offload.copy_stream import CudaCopyStream
from stable_diffusion.offload.weight_streamer import Stream
from stable_diffusion.recipe import Recipe
from stable_diffusion.sharing import clone_sharing_weights, fill_slots, tensor_slots
from stable_diffusion.weights.mapped import MappedFiles, release


def apply_memory_plan(model: Model, recipe: Recipe) -> Model:
    """The model as the recipe's memory plan uses it, for one job; both give the same pictures.

    It shares all weights with the first, which other jobs may use meanwhile.
    """
    resident = model.networks.unet.device == model.device
    if recipe.memory_plan == "standard" and resident:
        return model
    on_cpu = model.device.type == "cpu"
    alone = replace(model, step_batcher=None, graphs=None)
    if on_cpu and not model.mapped:
        return alone  # memory that is this process's own cannot be lent
    planned = replace(alone, networks=model.networks.map(clone_sharing_weights))
    if on_cpu:
        return _lent_by_the_kernel(planned, turbo=recipe.turbo)
    if resident:
        return alone
    return _offloaded(model, planned, recipe)


def _lent_by_the_kernel(model: Model, *, turbo: bool) -> Model:
    """Give mapped pages back: layer by layer, or with `turbo` network by network."""
    files = MappedFiles()
    unets = model.networks.unet, model.networks.half_unet
    sampling: list[Tensor] = []
    for worker in _workers(model.networks):
        for layer in worker.modules():
            weights = layer.parameters(recurse=False)
            mapped: list[Tensor] = [weight for weight in weights if files.holds(weight)]
            if not turbo:
                _afterwards(layer, partial(_give_back, mapped))
            elif worker in unets:
                sampling += mapped
            else:
                _afterwards(worker, partial(_give_back, mapped))
    return replace(model, sampling=partial(_finally, partial(_give_back, sampling)))


def _offloaded(model: Model, planned: Model, recipe: Recipe) -> Model:
    """Bring each network to the device when it is called; unless little is wanted, it stays.

    The UNet is there from the first evaluation of a batch to the last.

    Args:
        model: the one that rests.
        planned: a clone_sharing_weights of it, for this job.
    """
    stays = recipe.turbo or recipe.memory_plan == "standard"
    # the autoencoder's numbers are wider than half precision
    half = None if recipe.precision == "full" else torch.float16
    unet = planned.networks.unet
    guest: OffloadedModule | Stream
    if model.offload_cache:
        packed = model.offload_cache.packed(model.networks.unet, half)
        guest = Stream(unet, packed, CudaCopyStream(model.device))
    else:
        guest = OffloadedModule(unet, model.device, half)
    for worker in _workers(planned.networks):
        if worker is not unet:
            other = OffloadedModule(worker, model.device)
            worker.register_forward_pre_hook(lambda *_, other=other: other.come())
            if not stays:
                _afterwards(worker, other.go)
    return replace(planned, sampling=partial(_resident, guest, stays=stays))


@contextmanager
def _resident(guest: "OffloadedModule | Stream", *, stays: bool) -> Iterator[None]:
    guest.come()
    try:
        yield
    finally:
        if not stays:
            guest.go()


def _workers(networks: Networks) -> tuple[nn.Module, ...]:
    """What is called for a piece of work: of the autoencoder, its halves."""
    encoders, vae = networks.text_encoders.values(), networks.vae.children()
    half_unet = (networks.half_unet,) if networks.half_unet else ()
    return *encoders, networks.unet, *vae, *half_unet


class OffloadedModule:
    """A network whose weights rest in main memory, and come to a device as copies.

    Args:
        network: nobody else's; its weights may be shared.
        device: where it works.
        dtype: the type of its numbers there; None: as they rest.
    """

    def __init__(
        self, network: nn.Module, device: torch.device, dtype: torch.dtype | None = None
    ) -> None:
        self._device = device
        self._dtype = dtype
        self._home = tensor_slots(network)
        self.here = False

    def come(self) -> None:
        """Be on the device. Does nothing the second time."""
        if self.here:
            return
        self.here = True
        for held, name, tensor in self._home:
            dtype = self._dtype if tensor.is_floating_point() else None
            copied = tensor.detach().to(self._device, dtype)
            held[name] = nn.Parameter(copied, False) if isinstance(tensor, nn.Parameter) else copied

    def go(self) -> None:
        """Leave the device."""
        fill_slots(self._home)
        self.here = False


def _afterwards(module: nn.Module, do: Callable[[], None]) -> None:
    """Do something whenever the module has computed, or failed to."""
    module.register_forward_hook(lambda *_: do(), always_call=True)


def _give_back(weights: list[Tensor]) -> None:
    for weight in weights:
        release(weight)


@contextmanager
def _finally(do: Callable[[], None]) -> Iterator[None]:
    try:
        yield
    finally:
        do()
