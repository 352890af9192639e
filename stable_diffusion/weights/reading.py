"""Reads a model's weights from wherever they lie into networks."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from stable_diffusion.half import half_type, with_half
from stable_diffusion.networks import Networks
from stable_diffusion.variants import Prediction, Variant
from stable_diffusion.weights.checkpoint import Checkpoint, open_checkpoint
from stable_diffusion.weights.folder import open_folder
from stable_diffusion.weights.kinds import identify
from stable_diffusion.weights.prediction import stated_inside
from stable_diffusion.weights.state_dict_loading import load_networks


@dataclass(frozen=True)
class Weights:
    """Networks with their weights.

    Attributes:
        stated: what the weights' own file says that they predict; None: nothing.
        mapped: whether they lie in a mapped file, whose pages the kernel lends.
    """

    variant: Variant
    networks: Networks
    stated: Prediction | None
    mapped: bool = False


def open_weights(path: Path) -> Checkpoint:
    """Open a file in the original layout or a diffusers folder. Raises as both do."""
    return open_folder(path) if path.is_dir() else open_checkpoint(path)


def read_weights(
    path: Path,
    device: torch.device,
    dtype: torch.dtype,
    on_progress: Callable[[float], object] = lambda _share: None,
    *,
    unet: torch.dtype | None = None,
) -> Weights:
    """Read a model's weights from its file or folder; see `filling.load_networks`.

    Raises:
        ModelNotFound, UnreadableModel.
    """
    checkpoint = open_weights(path)
    variant = identify(checkpoint)
    networks = load_networks(checkpoint, variant, device, dtype, on_progress, unet=unet)
    return Weights(variant, networks, stated_inside(checkpoint))


def suited(weights: Weights, device: torch.device) -> Weights:
    """The weights with a UNet in half precision where that pays on this device, else without."""
    whole = weights.networks
    dtype = half_type(weights.variant, device)
    suiting = with_half(whole, dtype) if dtype else replace(whole, half=None)
    return replace(weights, networks=suiting)
