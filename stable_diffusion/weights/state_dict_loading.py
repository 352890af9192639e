"""Loads a checkpoint's tensors into empty networks, one after the other, in their final form.

Each tensor is copied at most once, from the mapped file to its final device, type and memory
layout; the pages it was read from are released at once. So loading never holds the weights twice.
The layers of a large model keep their weights as they are stored, see `Family.large`.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import torch
from torch import Tensor, nn

from stable_diffusion.cpu.convolution import QuickConvolution
from stable_diffusion.cpu.layers import use_quick_layers
from stable_diffusion.cpu.linear import QuickLinear
from stable_diffusion.errors import UnreadableModel
from stable_diffusion.families.family import Family
from stable_diffusion.families.parts.part import Part, StoredTensor
from stable_diffusion.networks import Networks, build_networks, parts_of
from stable_diffusion.weights.checkpoint import Checkpoint
from stable_diffusion.weights.detection import detect_family
from stable_diffusion.weights.mapped import MappedFiles
from stable_diffusion.weights.quantized import is_factor, kept_type, true_values

Place = Callable[[str, Tensor], object]
"""Takes a weight and its name, which begins with that of its part."""

_MAX_FAULTS_NAMED = 4
_MAX_NAMES_SHOWN = 3


def load_networks(
    checkpoint: Checkpoint,
    family: Family,
    device: torch.device,
    dtype: torch.dtype,
    on_progress: Callable[[float], object] = lambda _share: None,
    *,
    unet_dtype: torch.dtype | None = None,
    vae: Checkpoint | None = None,
    place: Place | None = None,
) -> Networks:
    """The checkpoint's networks, in evaluation mode, on `device` in `dtype`.

    Convolutions are in the memory layout that their part specifies.

    Args:
        on_progress: called with the share that is loaded, 0..1, after every tensor.
        unet_dtype: the type of the UNet; None: `dtype`.
        vae: the autoencoder that is used in place of the checkpoint's own; see `vae_files`.
        place: gets every weight as soon as it is read; the networks then have none.

    Raises:
        UnreadableModel: tensors are missing or have another shape; the message names them.
    """
    networks = empty_networks(family)
    total = sum(p.numel() for _, module in parts_of(networks) for p in module.parameters())
    loading = _Loading(checkpoint, device, total, on_progress, place)
    sources = {part.name: checkpoint for part in family.parts}
    if vae is not None:
        sources["vae"] = vae
    # before gigabytes are read in vain
    missing = [
        part
        for part in family.parts
        if not loading.has_any(networks.parts[part.name], part, sources[part.name])
    ]
    loading.faults += [f"it has no {part.title}" for part in missing]
    if len(missing) == len(family.parts):
        known = ", ".join(sorted(checkpoint.names)[:_MAX_NAMES_SHOWN])
        loading.faults = [f"its tensors have names that no whole model has: {known}"]
    for part in family.parts:
        if part in missing:
            continue
        loading.checkpoint = sources[part.name]
        own = unet_dtype if unet_dtype and part.name == "unet" else dtype
        module = networks.parts[part.name]
        kept = kept_types(loading.checkpoint, family, part, module, device)
        loading.load(module, part, own, kept)
    faults = loading.faults
    if faults:
        rest = len(faults) - _MAX_FAULTS_NAMED
        more = f" and {rest} more" if rest > 0 else ""
        raise UnreadableModel(
            f"model {checkpoint.path.name!r} cannot be used: "
            f"{'; '.join(faults[:_MAX_FAULTS_NAMED])}{more}"
        )
    return networks


def exact_unet(checkpoint: Checkpoint, names: Collection[str]) -> Iterator[tuple[str, Tensor]]:
    """These weights of the UNet, one after the other, in a type that has all their values.

    Args:
        checkpoint: of a model that can be loaded.

    Raises UnreadableModel.
    """
    family = detect_family(checkpoint)
    part, module = family.part("unet"), described_networks(family).unet
    loading = _Loading(checkpoint, torch.device("cpu"), 1, lambda _share: None)
    wanted = [each for each in module.named_parameters() if each[0] in names]
    return loading.weights(wanted, part, None, {})


def kept_types(
    checkpoint: Checkpoint, family: Family, part: Part, module: nn.Module, device: torch.device
) -> dict[str, torch.dtype]:
    """The types of those weights of a part that stay in less than 32 bits, by name.

    Args:
        checkpoint: has the part.
        module: the part's network.
        device: that the weights are loaded to.
    """
    if not family.large or device.type != "cpu" or part.name == "vae":
        return {}
    layers = [
        f"{name}.weight"
        for name, layer in module.named_modules()
        if isinstance(layer, QuickLinear | QuickConvolution)
    ]
    keys = {name: _key(checkpoint, part.stored(name, checkpoint.layout), part) for name in layers}
    types = {name: kept_type(checkpoint.read(key).dtype) for name, key in keys.items() if key}
    return {name: dtype for name, dtype in types.items() if dtype}


def unused_tensors(checkpoint: Checkpoint, family: Family, *, own_vae: bool = True) -> list[str]:
    """The names of the tensors that `load_networks` does not read, sorted.

    Args:
        own_vae: whether the checkpoint's own autoencoder is used.
    """
    networks = described_networks(family)
    used = {
        _key(checkpoint, part.stored(name, checkpoint.layout), part)
        for part in family.parts
        if own_vae or part.name != "vae"
        for name, _ in networks.parts[part.name].named_parameters()
    }
    return sorted(name for name in checkpoint.names - used if not is_factor(name))


def empty_networks(family: Family) -> Networks:
    """Networks in evaluation mode without weights."""
    with torch.device("meta"):
        networks = build_networks(family)
        for _, module in parts_of(networks):
            use_quick_layers(module)
            module.eval().requires_grad_(False)
    return networks


@lru_cache(maxsize=8)
def described_networks(family: Family) -> Networks:
    """`empty_networks` for reading names and shapes: all callers share them, and change nothing.

    Building those of SDXL takes a second, which the estimate before each loading need not repeat.
    """
    return empty_networks(family)


def assign(module: nn.Module, state: dict[str, Tensor], device: torch.device) -> None:
    """Make the tensors themselves the parameters of an empty module, and create its buffers."""
    module.load_state_dict(state, strict=False, assign=True)
    module.requires_grad_(False)
    for name, buffer in module.named_buffers():
        # positions 0, 1, 2 …: the one buffer these networks have, and no checkpoint needs it
        if name.endswith("position_ids"):
            positions = torch.arange(buffer.shape[-1], device=device).expand(buffer.shape)
            module.get_submodule(name.rpartition(".")[0]).register_buffer(
                "position_ids", positions, persistent=False
            )


def _key(checkpoint: Checkpoint, stored: StoredTensor, part: Part) -> str | None:
    """The name under which a checkpoint has a tensor; None: it lacks it."""
    keys = (stored.key, *part.alternative_keys(stored.key))
    return next((key for key in keys if key in checkpoint.names), None)


@dataclass
class _Loading:
    """The state of one loading: faults so far, and how many values are loaded of how many."""

    checkpoint: Checkpoint
    device: torch.device
    total: int
    on_progress: Callable[[float], object]
    place: Place | None = None
    done: int = 0
    faults: list[str] = field(default_factory=list)
    mapped: MappedFiles = field(default_factory=MappedFiles)

    def load(
        self, module: nn.Module, part: Part, dtype: torch.dtype, kept: Mapping[str, torch.dtype]
    ) -> None:
        """Load a module; after a fault continue only to find the others.

        Args:
            kept: the types of weights that have another than `dtype`, by name.
        """
        state: dict[str, Tensor] = {}
        for name, weight in self.weights(module.named_parameters(), part, dtype, kept):
            if self.place:
                self.place(f"{part.name}.{name}", weight)
            state[name] = weight.to("meta") if self.place else weight
        if not self.faults:
            assign(module, state, self.device)

    def weights(
        self,
        parameters: Iterable[tuple[str, Tensor]],
        part: Part,
        dtype: torch.dtype | None,
        kept: Mapping[str, torch.dtype],
    ) -> Iterator[tuple[str, Tensor]]:
        """The weights of a module's parameters, by name, up to the first fault; see `load`.

        Args:
            dtype: None: the 16 bits of the file, else float32.
        """
        for name, parameter in parameters:
            stored = part.stored(name, self.checkpoint.layout)
            found = self._read(stored, part)
            if found is None:
                self.faults.append(f"{stored.key} is missing")
            # the original has 1x1 convolutions where ours has linear layers, of the same numbers
            elif found.numel() != parameter.numel() or found.shape[:1] != parameter.shape[:1]:
                self.faults.append(
                    f"{stored.key} has shape {tuple(found.shape)}, not {tuple(parameter.shape)}"
                )
            elif not self.faults:
                yield (
                    name,
                    self._converted(
                        found,
                        parameter.shape,
                        kept.get(name, dtype or kept_type(found.dtype) or torch.float32),
                        channels_last=part.channels_last,
                    ),
                )
                self.done += parameter.numel()
                self.on_progress(self.done / self.total)

    def has_any(self, module: nn.Module, part: Part, checkpoint: Checkpoint) -> bool:
        """Whether a checkpoint holds any tensor of a module."""
        return any(
            _key(checkpoint, part.stored(name, checkpoint.layout), part)
            for name, _ in module.named_parameters()
        )

    def _read(self, stored: StoredTensor, part: Part) -> Tensor | None:
        key = _key(self.checkpoint, stored, part)
        if key is None:
            return None
        tensor, fault = true_values(self.checkpoint, key)
        if fault:
            self.faults.append(f"{key} {fault}")
        if stored.third is not None and tensor.dim():
            return tensor.chunk(3)[stored.third]
        return tensor.T.contiguous() if stored.transposed and tensor.dim() == 2 else tensor

    def _converted(
        self, found: Tensor, shape: torch.Size, dtype: torch.dtype, *, channels_last: bool
    ) -> Tensor:
        converted = found.reshape(shape).to(
            self.device,
            dtype,
            memory_format=torch.channels_last
            if channels_last and len(shape) == 4
            else torch.contiguous_format,  # a pickle may have the tensor in any layout
        )
        if converted.data_ptr() == found.data_ptr():
            # never keep memory of a file that another process may change or truncate
            converted = converted.clone(memory_format=torch.preserve_format)
        self.mapped.release(found)
        return converted
