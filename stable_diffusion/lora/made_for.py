"""For which family the file of a LoRA was made, as its layers say."""

from collections.abc import Collection

from stable_diffusion.families import FAMILIES, by_context_width
from stable_diffusion.lora.lora_file import Lora
from stable_diffusion.lora.methods import WrongShape


def by_text_width(misfit: ValueError) -> str:
    """By the shape of a layer that reads the text, as the end of a sentence; empty: for none."""
    shape = misfit.shape if isinstance(misfit, WrongShape) else ()
    return _so(by_context_width().get(shape[1], "") if len(shape) == 2 else "")


def by_text_encoders(lora: Lora, known: Collection[str]) -> str:
    """A clause about a file for text encoders alone, of which a model has not all; empty: it has.

    Those of Stable Diffusion 1 and the first one of XL have the same shapes, and other names.

    Args:
        known: the model's layers, by the names that files have for them.
    """
    strange = next((layer for layer in lora.layers if layer not in known), None)
    if strange is None:
        return ""
    widths = {_width(lora, layer) for layer in lora.layers} - {0}
    for family in FAMILIES:
        encoders = family.text_encoders.values()
        fits = widths <= {encoder.width for encoder in encoders}
        if fits and all(any(e.names_lora_layer(n) for e in encoders) for n in lora.layers):
            return f"the model has no layer {strange}{_so(family.id)}"
    return ""


def _width(lora: Lora, layer: str) -> int:
    """That of the states that a layer of attention reads; 0: not known."""
    down = lora.layers[layer].tensors.get("down")
    reads_states = layer.endswith(("q_proj", "k_proj", "v_proj"))
    return down.shape[1] if reads_states and down is not None and down.dim() > 1 else 0


def _so(family: str) -> str:
    return f", so it was made for {family}" if family else ""
