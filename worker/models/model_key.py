"""Which model a job needs, as a value: the key of the model cache."""

import os
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from stable_diffusion.weights.model_files import small_encoder_beside, vae_beside
from worker.models.folder_entries import is_file

FileSignature = tuple[int, int]
"""Size in bytes and time of the last change in nanoseconds."""


@dataclass(frozen=True)
class LoraKey:
    """A LoRA's file as it is now, and the weights with which it is added.

    Attributes:
        name: as the prompt writes it.
        weight: for the text encoders.
        unet_weight: for the UNet.
    """

    name: str
    path: Path
    signature: FileSignature
    weight: float
    unet_weight: float


@dataclass(frozen=True)
class ModelKey:
    """A model as a job needs it. Equal keys mean the same model.

    Attributes:
        name: the canonical name.
        path: its file, or its folder in diffusers' layout.
        signature: changes when the file changes.
        loras: the LoRAs that are added to it.
        offloaded: its weights stay in host memory, and are copied to the device when needed.
        full: its UNet is not in half precision, where that would be faster.
        vae: the autoencoder that is used in place of its own; None: that beside it, else its own.
        vae_signature: changes when that file changes.
    """

    name: str
    path: Path
    signature: FileSignature = (0, 0)
    loras: tuple[LoraKey, ...] = ()
    offloaded: bool = False
    full: bool = False
    vae: Path | None = None
    vae_signature: FileSignature = (0, 0)

    @property
    def base(self) -> "ModelKey | None":
        """The same model without LoRAs; None: it has none."""
        return replace(self, loras=()) if self.loras else None

    @property
    def with_own_vae(self) -> "ModelKey":
        """The same model with the autoencoder beside it, or its own."""
        return replace(self, vae=None, vae_signature=(0, 0))

    def is_older(self, other: "ModelKey") -> bool:
        """Whether this is the same file as `other` before its last change."""
        same_files = (self.name, self.path, self.vae) == (other.name, other.path, other.vae)
        signatures = self.signature, self.vae_signature
        return same_files and signatures != (other.signature, other.vae_signature)


def file_signature(path: Path) -> FileSignature:
    """The signature of a file, or of all files of a folder, with the autoencoder beside it.

    With that of a small decoder counts the encoder beside it.

    Files that cannot be found, because they were just deleted, do not count.
    """
    files = [path] if is_file(path) else sorted(path.glob("*/*")) or sorted(path.glob("*"))
    files += filter(None, [vae_beside(path), small_encoder_beside(path)])
    stats: list[os.stat_result] = []
    for file in filter(is_file, files):
        with suppress(OSError):
            stats.append(file.stat())
    return sum(st.st_size for st in stats), max((st.st_mtime_ns for st in stats), default=0)
