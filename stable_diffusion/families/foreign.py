"""Architectures this engine does not run, recognised so that a refusal can name them."""

from collections.abc import Collection, Mapping

from stable_diffusion.families.family import Shape
from stable_diffusion.families.tensor_shapes import context_width

_LORA = "a LoRA: put it into the loras folder and name it in the prompt"
# part of a tensor's name → what the file is; the first match counts
_MARKS = (
    ("lora_", _LORA),
    (".lora", _LORA),
    ("lycoris_", _LORA),
    ("hada_w1_", _LORA),
    (".lokr_w", _LORA),
    ("oft_blocks", _LORA),
    ("emb_params", "a textual inversion: put it into the embeddings folder"),
    ("control_model.", "a ControlNet"),
    ("controlnet_", "a ControlNet"),
    ("joint_blocks.", "a Stable Diffusion 3 checkpoint"),
    ("double_blocks.", "a Flux checkpoint"),
)
_LEAST_SHARE = 20
_INPUT_CHANNELS = {
    5: "a depth-to-image model (depth maps are not supported)",
}


def marked(names: Collection[str]) -> str | None:
    """What a file is whose tensor names give it away; None: none of the known ones."""
    return next((what for mark, what in _MARKS if _many(names, mark)), None)


def _many(names: Collection[str], mark: str) -> bool:
    """Whether more than a few of the names have a mark: a stray tensor does not make a LoRA."""
    return _LEAST_SHARE * sum(mark in name for name in names) > len(names)


def purpose(channels: int) -> str:
    """What a latent diffusion model with so many input channels is for."""
    return _INPUT_CHANNELS.get(channels, "a model of another purpose")


def explain(names: Collection[str], shape: Shape, known: Mapping[int, str]) -> str:
    """What a file that is no family's is, as a clause.

    Args:
        names, shape: of its tensors.
        known: the context widths of the families, with their ids.
    """
    what = marked(names)
    if what:
        return f"it is {what}"
    width = context_width(names, shape)
    if width is None and any(name.startswith("cond_stage_model.") for name in names):
        return "it has no UNet"
    if width is None and any(name.endswith("decoder.conv_out.weight") for name in names):
        return "it is an autoencoder alone: it has no UNet and no text encoder"
    if width is None:
        found = ", ".join(sorted(names)[:3]) or "no tensors"
        return f"it has no cross-attention to a text; found: {found}"
    widths = ", ".join(f"{width} ({family})" for width, family in known.items())
    return f"it has a text width of {width}; known are {widths}"
