"""Reads small autoencoders (TAESD) into networks.

They are published by their author as two files, `taesd_decoder.pth` and `taesd_encoder.pth`, whose
tensors are numbered (`3.conv.0.weight`), by some programs as one with `decoder.` and `encoder.`
before the numbers, and by diffusers (`AutoencoderTiny`) with `decoder.layers.`. A file does not say
how many blocks it has, nor for which latents it is: the first is read from its numbers, of the
second only the count of channels is known, and the file's name.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.vae import DecoderTiny, EncoderTiny
from torch import Tensor, nn

from stable_diffusion import families
from stable_diffusion.autoencoder.small_autoencoder import SmallAutoencoder
from stable_diffusion.errors import UnreadableModel
from stable_diffusion.families.family import Family
from stable_diffusion.weights.checkpoint import open_checkpoint
from stable_diffusion.weights.model_files import small_encoder_beside, vae_name, vae_weight_files
from stable_diffusion.weights.quantized import true_values

M = TypeVar("M", bound=nn.Module)
Tensors = dict[str, Tensor]
"""The tensors of an encoder or decoder by the names that diffusers gives them."""

_NAME = re.compile(r"(?:(?:taesd_)?(encoder|decoder)\.)?(layers\.)?(\d+)\.((?:conv\.\d+\.)?\w+)")


def is_small_autoencoder(path: Path) -> bool:
    """Whether a file or folder is a small autoencoder. Raises as `open_vae` does."""
    names = (name for file in vae_weight_files(path) for name in open_checkpoint(file).names)
    return any((found := _NAME.fullmatch(name)) and "conv." in found[4] for name in names)


def read_small_autoencoder(
    path: Path, family: Family, full: AutoencoderKL, device: torch.device, dtype: torch.dtype
) -> SmallAutoencoder:
    """Read a small autoencoder for a family.

    Args:
        path: for which `is_small_autoencoder` is true.
        full: the model's own; it encodes where the small one has no encoder.

    Raises:
        UnreadableModel: it is damaged, for other latents, or has no decoder.
    """
    _check_name(path, family)
    decoder = _opened(path).get("decoder")
    if decoder is None:
        raise UnreadableModel(
            f"autoencoder {path.name!r} has no decoder; its author's files with one have "
            "'decoder' in their names"
        )
    beside = small_encoder_beside(path)
    encoder = (_opened(path) | (_opened(beside) if beside else {})).get("encoder")
    first = decoder.get("layers.0.weight")
    channels = 0 if first is None or first.ndim < 2 else first.shape[1]
    if channels != family.latents.channels:
        raise UnreadableModel(
            f"autoencoder {path.name!r} is for other models: its latents have {channels} channels, "
            f"those of {family.id} have {family.latents.channels}"
        )

    def build_decoder(blocks: tuple[int, ...], width: int) -> DecoderTiny:
        return DecoderTiny(channels, 3, blocks, (width,) * len(blocks), 2, "relu", "nearest")

    def build_encoder(blocks: tuple[int, ...], width: int) -> EncoderTiny:
        return EncoderTiny(3, channels, blocks, (width,) * len(blocks), "relu")

    return SmallAutoencoder(
        _loaded(build_decoder, decoder, path, device, dtype),
        _loaded(build_encoder, encoder, path, device, dtype) if encoder else None,
        full,
        family.latents.scale,
    )


def _check_name(path: Path, family: Family) -> None:
    """Refuse a file with the name of another family's: it would decode to wrong colours."""
    own = family.latents.small_decoder
    others = {each.latents.small_decoder for each in families.FAMILIES} - {own}
    if Path(vae_name(path)).stem.lower() in others:
        raise UnreadableModel(
            f"autoencoder {path.name!r} is for other models: that for {family.id} is called {own!r}"
        )


def _opened(path: Path) -> dict[str, Tensors]:
    """The tensors of the encoder and of the decoder, as far as a file has them."""
    found: dict[str, Tensors] = {}
    for checkpoint in map(open_checkpoint, vae_weight_files(path)):
        # without prefixes it is one of the two; before a decoder's weights is a layer without any
        alone = "encoder" if "0.weight" in checkpoint.names else "decoder"
        for name in checkpoint.names:
            parts = _NAME.fullmatch(name)
            if parts is None:
                raise UnreadableModel(
                    f"autoencoder {path.name!r} is of a kind that is not known: it has {name}"
                )
            part = parts[1] or alone
            # diffusers does not count the layer before a decoder's weights
            number = int(parts[3]) - (part == "decoder" and not parts[2])
            tensor, fault = true_values(checkpoint, name)
            if fault:
                raise UnreadableModel(f"autoencoder {path.name!r} cannot be used: {name} {fault}")
            found.setdefault(part, {})[f"layers.{number}.{parts[4]}"] = tensor
    return found


def _loaded(
    build: Callable[[tuple[int, ...], int], M],
    state: Tensors,
    path: Path,
    device: torch.device,
    dtype: torch.dtype,
) -> M:
    blocks = _blocks(state) or (0,)
    width = state["layers.0.bias"].numel() if "layers.0.bias" in state else 0
    with torch.device("meta"):
        module = build(blocks, width)
    wanted = {name: tensor.shape for name, tensor in module.state_dict().items()}
    found = {name: tensor.shape for name, tensor in state.items()}
    differing = sorted(name for name, _ in wanted.items() ^ found.items())
    if differing:
        raise UnreadableModel(
            f"autoencoder {path.name!r} is of a kind that is not known: {differing[0]} is missing, "
            "superfluous or of another shape"
        )
    plain = cast(nn.Module, module)
    copied = {name: each.to(device, dtype, copy=True) for name, each in state.items()}
    plain.load_state_dict(copied, assign=True)
    plain.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return module


def _blocks(state: Tensors) -> tuple[int, ...]:
    """How many residual blocks follow each convolution but the last."""
    kinds: dict[int, bool] = {}
    for name in state:
        _, number, rest = name.split(".", 2)
        kinds[int(number)] = rest.startswith("conv.")
    counts: list[int] = []
    for _, is_block in sorted(kinds.items()):
        if is_block and counts:
            counts[-1] += 1
        elif not is_block:
            counts.append(0)
    return tuple(counts[:-1])
