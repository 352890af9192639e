"""Reads a model's weights from a file or folder into networks."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from stable_diffusion.families.family import Family, Prediction
from stable_diffusion.networks import Networks
from stable_diffusion.weights.checkpoint import Checkpoint, open_checkpoint
from stable_diffusion.weights.detection import detect_family
from stable_diffusion.weights.folder import open_folder
from stable_diffusion.weights.model_files import vae_beside, vae_name
from stable_diffusion.weights.prediction import prediction_inside, zero_snr_inside
from stable_diffusion.weights.small_vae_files import (
    is_small_autoencoder,
    read_small_autoencoder,
)
from stable_diffusion.weights.state_dict_loading import Place, load_networks
from stable_diffusion.weights.vae_files import open_vae


@dataclass(frozen=True)
class Weights:
    """Networks with their weights.

    Attributes:
        declared_prediction: what their own file says that they predict; None: nothing.
        zero_snr: whether their own file says that the noise levels end at pure noise.
        vae: the file name of the autoencoder that is used in place of their own; empty: none.
        mapped: whether they are in a mapped file, whose pages the kernel can take back.
    """

    family: Family
    networks: Networks
    declared_prediction: Prediction | None
    mapped: bool = False
    vae: str = ""
    zero_snr: bool = False


def open_weights(path: Path) -> Checkpoint:
    """Open a file in the original layout or a diffusers folder. Raises as both do."""
    return open_folder(path) if path.is_dir() else open_checkpoint(path)


def read_weights(
    path: Path,
    device: torch.device,
    dtype: torch.dtype,
    on_progress: Callable[[float], object] = lambda _share: None,
    *,
    unet_dtype: torch.dtype | None = None,
    vae: Path | None = None,
    place: Place | None = None,
) -> Weights:
    """Read a model's weights from its file or folder; see `state_dict_loading.load_networks`.

    Args:
        vae: the file or folder of another autoencoder, not a small one; None: its own.

    Raises:
        ModelNotFound, UnreadableModel.
    """
    checkpoint = open_weights(path)
    family = detect_family(checkpoint)
    networks = load_networks(
        checkpoint,
        family,
        device,
        dtype,
        on_progress,
        unet_dtype=unet_dtype,
        vae=open_vae(vae, family) if vae else None,
        place=place,
    )
    return Weights(
        family, networks, prediction_inside(checkpoint), zero_snr=zero_snr_inside(checkpoint)
    )


def replaces_full_vae(path: Path, vae: Path | None) -> bool:
    """Whether an autoencoder is a small one, and the model at `path` has a full one without it.

    Raises ModelNotFound, UnreadableModel.
    """
    beside = vae_beside(path)
    small = vae is not None and is_small_autoencoder(vae)
    return small and (beside is None or not is_small_autoencoder(beside))


@dataclass(frozen=True)
class VaeFiles:
    """The autoencoders that are used in place of a model's own.

    Attributes:
        full: replaces it; None: nothing does.
        small: is used beyond that, see `SmallAutoencoder`; None: there is none.
    """

    full: Path | None
    small: Path | None

    @classmethod
    def chosen(cls, path: Path, vae: Path | None) -> "VaeFiles":
        """Those for the model at `path`, given the file or folder that was asked for.

        Raises ModelNotFound, UnreadableModel.
        """
        beside = vae_beside(path)
        wanted = vae or beside
        if wanted is None or not is_small_autoencoder(wanted):
            return cls(wanted, None)
        return cls(beside if replaces_full_vae(path, wanted) else None, wanted)

    def add_small(self, weights: Weights, dtype: torch.dtype) -> Weights:
        """The weights with the small autoencoder; others share them, and keep their own."""
        vae = self.small or self.full
        weights = replace(weights, vae=vae_name(vae) if vae else "")
        if self.small is None:
            return weights
        networks = weights.networks
        full = networks.full_vae
        small = read_small_autoencoder(self.small, weights.family, full, full.device, dtype)
        return replace(weights, networks=networks.with_parts(vae=small))
