"""The memory plan `optimized`: only the weights in use are resident.

On a CPU the weights are mapped from a file of the weight cache, and the pages of a layer are
released once it has computed. On a GPU they are in main memory: a network is loaded to the device
when it is called. The UNet is packed once in pinned memory, in the type it computes in, and above
its memory limit it is streamed part by part, see `offload`.
`turbo` keeps weights resident longer: on a CPU until a whole network has computed, on a GPU until
the job ends. A GPU has a resident UNet in half precision only, so it offloads that of a job in full
precision as well.

Attention needs no plan: PyTorch's never allocates the matrix of all pairs that slicing avoids.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from stable_diffusion.cuda.graphs import Graphs
from stable_diffusion.model import Model
from stable_diffusion.networks import Networks
from stable_diffusion.offload.copy_stream import CudaCopyStream
from stable_diffusion.offload.offload_cache import OffloadCache
from stable_diffusion.offload.row_splitting import split_rows
from stable_diffusion.offload.weight_streamer import WeightStreamer
from stable_diffusion.recipe import Recipe
from stable_diffusion.shared_weights import clone_sharing_weights, fill_slots, tensor_slots
from stable_diffusion.weights.mapped import MappedFiles, release


def apply_memory_plan(model: Model, recipe: Recipe) -> Model:
    """The model as one job uses it by its memory plan; all plans give the same pictures.

    It shares all weights with the given model, which other jobs may use at the same time.
    """
    if recipe.precision == "full" and model.device.type != "cpu":
        model = replace(model, tf32=False)
    resident = model.networks.unet.device == model.device
    if recipe.memory_plan == "standard" and resident:
        return model
    on_cpu = model.device.type == "cpu"
    unbatched = replace(model, step_batcher=None, graphs=None)
    # on a CPU only mapped pages can be released
    if resident and not (on_cpu and model.mapped):
        return unbatched
    planned = replace(unbatched, networks=model.networks.map(clone_sharing_weights))
    if on_cpu:
        return _releasing_pages(planned, turbo=recipe.turbo)
    return _offloaded(model, planned, recipe)


def _releasing_pages(model: Model, *, turbo: bool) -> Model:
    """Release mapped pages after each layer, or with `turbo` after each network."""
    files = MappedFiles()
    sampling: list[Tensor] = []
    for module in _modules(model.networks):
        for layer in module.modules():
            weights = layer.parameters(recurse=False)
            mapped: list[Tensor] = [weight for weight in weights if files.holds(weight)]
            if not turbo:
                _after(layer, partial(_release, mapped))
            elif module is model.networks.unet:
                sampling += mapped
            else:
                _after(module, partial(_release, mapped))
    return replace(model, sampling=partial(_finally, partial(_release, sampling)))


def _offloaded(model: Model, planned: Model, recipe: Recipe) -> Model:
    """Load each network to the device when it is called, and unload it if memory is to be saved.

    The UNet is loaded from the first evaluation of a batch to the last.

    Args:
        model: its weights are in main memory.
        planned: the same with networks of its own, which share the weights.
    """
    keep = recipe.turbo or recipe.memory_plan == "standard"
    # only the UNet: the autoencoder's activations exceed the range of float16
    half = None if recipe.precision == "full" else torch.float16
    unet = planned.networks.unet
    offload_cache = model.offload_cache or OffloadCache(None, model.device)
    plan = offload_cache.plan(model.networks.unet, half)
    streamed = bool(plan.streamed)
    if streamed and recipe.unet_batch:
        split_rows(unet, recipe.unet_batch)
    streamer = WeightStreamer(unet, plan, CudaCopyStream(model.device))
    # a recording has the addresses of weights, which streamed ones share
    graphs = model.graphs.empty() if model.graphs and not streamed else None
    for module in _modules(planned.networks):
        if module is not unet:
            other = OffloadedModule(module, model.device)
            module.register_forward_pre_hook(lambda *_, other=other: other.load())
            if not keep:
                _after(module, other.unload)
    return replace(
        planned,
        sampling=partial(_loaded, streamer, graphs, keep=keep),
        graphs=graphs,
        streamed=streamed,
    )


@contextmanager
def _loaded(streamer: WeightStreamer, graphs: Graphs | None, *, keep: bool) -> Iterator[None]:
    streamer.load()
    try:
        yield
    finally:
        if keep:
            streamer.settle()
        else:
            if graphs:
                graphs.clear()  # the weights are at other addresses next time
            streamer.unload()


def _modules(networks: Networks) -> tuple[nn.Module, ...]:
    """The modules that a job calls by themselves: of the autoencoder, its encoder and decoder."""
    encoders, vae = networks.text_encoders.values(), networks.vae.children()
    return *encoders, networks.unet, *vae


class OffloadedModule:
    """A network whose weights are in main memory and are copied to a device to compute.

    Args:
        network: used by nothing else; its weights may be shared.
        device: where it computes.

    Attributes:
        resident: whether its weights are on the device.
    """

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        self._device = device
        self._own = tensor_slots(network)
        self.resident = False

    def load(self) -> None:
        """Copy the weights to the device. No effect if they are loaded."""
        if self.resident:
            return
        self.resident = True
        for held, name, tensor in self._own:
            copied = tensor.detach().to(self._device)
            held[name] = nn.Parameter(copied, False) if isinstance(tensor, nn.Parameter) else copied

    def unload(self) -> None:
        """Drop the copies on the device."""
        fill_slots(self._own)
        self.resident = False


def _after(module: nn.Module, do: Callable[[], None]) -> None:
    """Call `do` whenever the module has computed, or failed to."""
    module.register_forward_hook(lambda *_: do(), always_call=True)


def _release(weights: list[Tensor]) -> None:
    for weight in weights:
        release(weight)


@contextmanager
def _finally(do: Callable[[], None]) -> Iterator[None]:
    try:
        yield
    finally:
        do()
