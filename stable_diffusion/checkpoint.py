"""Reads and writes checkpoints in the original Stable Diffusion layout.

The kind of model is told from its tensors; a pickle is opened with `weights_only` and never runs
code. Networks are built empty and filled tensor by tensor from the memory-mapped file, so loading
never holds the weights twice.
"""

import hashlib
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from stable_diffusion.errors import ModelNotFound, UnreadableModel
from stable_diffusion.layout import RESBLOCKS, Layout, Source
from stable_diffusion.networks import Networks, build_networks
from stable_diffusion.variants import VARIANTS, Prediction, Variant

# What tells the families apart: the width of the text that the cross-attention listens to.
CONTEXT_KEY_END = "attn2.to_k.weight"
PREDICTION_KEY = "prediction"
# Under what a pickle keeps its tensors, if not bare; of upscalers the averaged ones come first.
WRAPPERS = ("state_dict", "params_ema", "params")


@dataclass(frozen=True)
class Checkpoint:
    """An opened file: its tensors by original name, read when asked for."""

    path: Path
    names: frozenset[str]
    read: Callable[[str], Tensor]
    metadata: Mapping[str, str]


def open_checkpoint(path: Path) -> Checkpoint:
    """Open a .safetensors, .ckpt or .pth file without reading its weights.

    Raises:
        ModelNotFound: there is no such file.
        UnreadableModel: it is damaged, of another type, or a pickle that holds more than tensors.
    """
    if not path.is_file():
        raise ModelNotFound(f"model file {path.name!r} does not exist")
    try:
        if path.suffix == ".safetensors":
            file = safe_open(path, framework="pt")
            return Checkpoint(path, frozenset(file.keys()), file.get_tensor, file.metadata() or {})
        # what torch wrote before it took to zip files cannot be mapped
        mapped = zipfile.is_zipfile(path)
        state: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except (SafetensorError, OSError, RuntimeError, ValueError, EOFError) as error:
        raise UnreadableModel(f"model file {path.name!r} cannot be read: {error}") from error
    except Exception as error:  # torch's UnpicklingError and zip errors share no narrower class
        raise UnreadableModel(f"model file {path.name!r} is not a safe checkpoint") from error
    tensors = state if isinstance(state, dict) else {}
    wrapper = next((key for key in WRAPPERS if isinstance(tensors.get(key), dict)), None)
    tensors = tensors[wrapper] if wrapper else tensors
    names = frozenset(n for n, value in tensors.items() if isinstance(value, Tensor))
    return Checkpoint(path, names, tensors.__getitem__, {})


def identify(checkpoint: Checkpoint) -> Variant:
    """Tell a checkpoint's family from its tensors.

    Raises:
        UnreadableModel: it is none that this engine runs; the message says what was found.
    """
    name = next((n for n in sorted(checkpoint.names) if n.endswith(CONTEXT_KEY_END)), None)
    if name is None:
        found = ", ".join(sorted(checkpoint.names)[:3]) or "no tensors"
        raise UnreadableModel(
            f"model file {checkpoint.path.name!r} is not a Stable Diffusion checkpoint in the "
            f"original layout; found: {found}"
        )
    width = checkpoint.read(name).shape[1]
    for variant in VARIANTS:
        if variant.context_width == width:
            return variant
    known = ", ".join(f"{v.name} ({v.context_width})" for v in VARIANTS)
    raise UnreadableModel(
        f"model file {checkpoint.path.name!r} has a text width of {width}; known are {known}"
    )


def load_networks(
    checkpoint: Checkpoint, variant: Variant, device: torch.device, dtype: torch.dtype
) -> Networks:
    """The checkpoint's networks, in evaluation mode, on `device` in `dtype`.

    Raises:
        UnreadableModel: tensors are missing or have another shape; the message names them.
    """
    with torch.device("meta"):
        networks = build_networks(variant)
    faults: list[str] = []
    for module, place in _parts(networks, variant):
        faults += _fill(module, checkpoint, place, device, dtype)
        module.eval().requires_grad_(False)
    if faults:
        more = f" and {len(faults) - 4} more" if len(faults) > 4 else ""
        raise UnreadableModel(
            f"model file {checkpoint.path.name!r} is incomplete: {'; '.join(faults[:4])}{more}"
        )
    return networks


def save_checkpoint(
    networks: Networks,
    variant: Variant,
    path: Path,
    prediction: Prediction = "epsilon",
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write the networks in the original layout as .safetensors, whole or not at all."""
    thirds: dict[str, dict[int, Tensor]] = {}
    tensors: dict[str, Tensor] = {}
    for module, place in _parts(networks, variant):
        for name, parameter in module.named_parameters():
            source = place(name)
            tensor = parameter.detach().to("cpu", dtype).contiguous()
            if source.third is None:
                tensors[source.name] = tensor
            else:
                thirds.setdefault(source.name, {})[source.third] = tensor
    for name, parts in thirds.items():
        tensors[name] = torch.cat([parts[third] for third in sorted(parts)])
    if variant.text_layout == "open_clip":
        tensors |= _unread_layer(tensors, variant.text["num_hidden_layers"])
    partial = path.with_suffix(".partial")
    save_file(tensors, partial, {PREDICTION_KEY: prediction, "format": "pt"})
    partial.replace(path)


def _unread_layer(tensors: Mapping[str, Tensor], layers: int) -> dict[str, Tensor]:
    """The text encoder's last layer, that SD 2 leaves out: others count from the end to find it.

    Its zeros add nothing to what passes through.
    """
    last = f"{RESBLOCKS}{layers - 1}."
    return {
        name.replace(last, f"{RESBLOCKS}{layers}."): torch.zeros_like(tensor)
        for name, tensor in tensors.items()
        if name.startswith(last)
    }


def _parts(networks: Networks, variant: Variant) -> list[tuple[nn.Module, Callable[[str], Source]]]:
    layout = Layout(variant)
    return [
        (networks.text, layout.text),
        (networks.unet, layout.unet),
        (networks.vae, layout.vae),
    ]


def _fill(
    module: nn.Module,
    checkpoint: Checkpoint,
    place: Callable[[str], Source],
    device: torch.device,
    dtype: torch.dtype,
) -> list[str]:
    """Put the checkpoint's tensors into an empty module; returns what is missing or misshapen."""
    faults: list[str] = []
    state: dict[str, Tensor] = {}
    for name, parameter in module.named_parameters():
        source = place(name)
        if source.name not in checkpoint.names:
            faults.append(f"{source.name} is missing")
            continue
        tensor = checkpoint.read(source.name)
        if source.third is not None:
            tensor = tensor.chunk(3)[source.third]
        # the original has 1x1 convolutions where ours has linear layers; the numbers are the same
        if tensor.numel() != parameter.numel() or tensor.shape[0] != parameter.shape[0]:
            faults.append(
                f"{source.name} has shape {tuple(tensor.shape)}, not {tuple(parameter.shape)}"
            )
            continue
        state[name] = tensor.to(device, dtype).reshape(parameter.shape)
    if not faults:
        module.load_state_dict(state, strict=False, assign=True)
        for name, buffer in module.named_buffers():
            # positions 0, 1, 2 …: the one buffer these networks have, and no checkpoint needs it
            if name.endswith("position_ids"):
                positions = torch.arange(buffer.shape[-1], device=device).expand(buffer.shape)
                module.get_submodule(name.rpartition(".")[0]).register_buffer(
                    "position_ids", positions, persistent=False
                )
    return faults


def content_hash(path: Path) -> str:
    """First ten hex digits of the file's SHA-256: how image tools name a checkpoint."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:10]
