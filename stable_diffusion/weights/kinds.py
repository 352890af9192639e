"""Tells what a checkpoint is from its tensors, and what else it may be when it is none of ours."""

import re

from torch import Tensor

from stable_diffusion.errors import UnreadableModel
from stable_diffusion.variants import LATENT_CHANNELS, VARIANTS, Variant
from stable_diffusion.weights.checkpoint import Checkpoint

# What tells the families apart: the width of the text that the cross-attention listens to.
_CONTEXT = re.compile(r"attn2\.?to_k\.?weight$")
_FIRST = re.compile(r"(diffusion_model\.?input_blocks\.?0\.?0\.?|unet\.conv_in\.)weight$")
_CHANNELS = {
    5: "a depth-to-image model",
    8: "a model that edits pictures by instruction",
    9: "an inpainting model",
}
# a mark in some tensor's name -> what such a file is; the first that is found
_OTHERS = (
    ("lora_", "a LoRA: put it into the loras folder and name it in the prompt"),
    (".lora", "a LoRA: put it into the loras folder and name it in the prompt"),
    ("emb_params", "a textual inversion: put it into the embeddings folder"),
    ("control_model.", "a ControlNet"),
    ("conditioner.embedders.1.", "a Stable Diffusion XL checkpoint"),
    ("joint_blocks.", "a Stable Diffusion 3 checkpoint"),
    ("double_blocks.", "a Flux checkpoint"),
)
_WIDTHS = {2048: "a Stable Diffusion XL checkpoint", 1280: "the refiner of Stable Diffusion XL"}


def identify(checkpoint: Checkpoint) -> Variant:
    """Tell a checkpoint's family from its tensors.

    Raises:
        UnreadableModel: it is none that this engine runs; the message says what was found.
    """
    names = checkpoint.names
    for mark, what in _OTHERS:
        if any(mark in name for name in names):
            raise _not_ours(checkpoint, f"it is {what}")
    context = next((name for name in sorted(names) if _CONTEXT.search(name)), None)
    if context is None:
        found = ", ".join(sorted(names)[:3]) or "no tensors"
        raise _not_ours(checkpoint, f"it has no cross-attention to a text; found: {found}")
    width = _shape(checkpoint, context)[-1]
    if width in _WIDTHS:
        raise _not_ours(checkpoint, f"it is {_WIDTHS[width]}, with a text width of {width}")
    variant = next((variant for variant in VARIANTS if variant.context_width == width), None)
    if variant is None:
        known = ", ".join(f"{v.context_width} ({v.name})" for v in VARIANTS)
        raise _not_ours(checkpoint, f"it has a text width of {width}; known are {known}")
    first = next((name for name in names if _FIRST.search(name)), None)
    channels = _shape(checkpoint, first)[1] if first else LATENT_CHANNELS
    if channels != LATENT_CHANNELS:
        what = _CHANNELS.get(channels, "a model of another purpose")
        raise _not_ours(
            checkpoint, f"it is {what}: its UNet takes {channels} channels, not {LATENT_CHANNELS}"
        )
    return variant


def _shape(checkpoint: Checkpoint, name: str) -> tuple[int, ...]:
    tensor: Tensor = checkpoint.read(name)
    # a scalar where a matrix is expected has no width
    return (0, 0, *tensor.shape) if tensor.dim() < 2 else tuple(tensor.shape)


def _not_ours(checkpoint: Checkpoint, found: str) -> UnreadableModel:
    return UnreadableModel(
        f"model {checkpoint.path.name!r} is not a Stable Diffusion 1.x or 2.x checkpoint: {found}"
    )
