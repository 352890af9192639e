"""Opens an autoencoder that is in a file or folder of its own.

It is read with the names of CompVis' `LatentDiffusion`, with or without the prefix that they have
in a whole model, and with those of diffusers' `AutoencoderKL`.
"""

from dataclasses import replace
from pathlib import Path

from stable_diffusion.errors import UnreadableModel
from stable_diffusion.families.family import Family
from stable_diffusion.weights.checkpoint import Checkpoint, open_checkpoint
from stable_diffusion.weights.model_files import vae_weight_files

_LAST = "decoder.conv_out.weight"
_FIRST = "decoder.conv_in.weight"


def open_vae(path: Path, family: Family) -> Checkpoint:
    """Open an autoencoder for a family; its tensors get the names they have in a whole model.

    Raises:
        ModelNotFound: there is no such file or folder.
        UnreadableModel: it is damaged, no autoencoder, or one for other latents.
    """
    opened = [open_checkpoint(file) for file in vae_weight_files(path)]
    readers = {name: each.read for each in opened for name in each.names}
    prefixes = sorted((n.removesuffix(_LAST) for n in readers if n.endswith(_LAST)), key=len)
    if not prefixes:
        raise UnreadableModel(f"{path.name!r} is not an autoencoder: it has no {_LAST}")
    # that of a whole model, else the shortest: beside it may be the averages of a training run
    part = family.part("vae")
    prefix = next((each for each in prefixes if each == part.original_prefix), prefixes[0])
    own = {name.removeprefix(prefix): name for name in readers if name.startswith(prefix)}
    is_diffusers = any(".up_blocks." in name for name in own)
    layout = "diffusers" if is_diffusers else "original"
    before = f"{part.folder}." if is_diffusers else part.original_prefix
    channels = readers[own[_FIRST]](own[_FIRST]).shape[1] if _FIRST in own else None
    if channels not in (None, family.latents.channels):
        raise UnreadableModel(
            f"autoencoder {path.name!r} is for other models: its latents have {channels} channels, "
            f"those of {family.id} have {family.latents.channels}"
        )
    names = {before + name: written for name, written in own.items()}
    return replace(
        opened[0],
        path=path,
        names=frozenset(names),
        read=lambda name: readers[names[name]](names[name]),
        layout=layout,
    )
