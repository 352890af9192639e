"""What a UNet samples and what it needs for it. Imports no torch: the API reads it as well."""

from dataclasses import dataclass


@dataclass(frozen=True)
class UNetKind:
    """What of a model decides which refiners, LoRAs and jobs it can have.

    Attributes:
        family: the id of its family.
        latents: of the space it samples in; equal for families that can share latents.
        inputs: what it takes beside the noisy latents, such as `inpaint`; empty: nothing.
        needs_image: whether it can only change an image.
        context_width: of the text embeddings that it attends to; 0: not known.
    """

    family: str
    latents: str
    inputs: str = ""
    needs_image: bool = False
    context_width: int = 0


def refiner_misfit(name: str, model: UNetKind, refiner: UNetKind) -> str:
    """Why a refiner cannot go on with what a model has sampled, as a clause; empty: it can.

    Args:
        name: of the model.
    """
    if refiner.latents != model.latents:
        reason = f"has other latents than the model {name!r} ({model.family})"
    elif refiner.inputs not in ("", model.inputs):
        reason = f"takes further inputs that the model {name!r} ({model.family}) does not have"
    else:
        return ""
    return f"is of the family {refiner.family}, which {reason}"
