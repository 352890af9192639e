"""Recognises the family of a checkpoint: asks `Family.detect` of each, and words a refusal."""

from stable_diffusion.errors import UnreadableModel
from stable_diffusion.families import detect, explain_refusal
from stable_diffusion.families.family import Family
from stable_diffusion.weights.checkpoint import Checkpoint


def detect_family(checkpoint: Checkpoint) -> Family:
    """The family of a checkpoint.

    Raises:
        UnreadableModel: it belongs to none; the message says what was found.
    """

    def shape(name: str) -> tuple[int, ...]:
        return tuple(checkpoint.read(name).shape)

    family = detect(checkpoint.names, shape)
    if family is None:
        raise UnreadableModel(
            f"model {checkpoint.path.name!r} is not a Stable Diffusion 1.x, 2.x or XL checkpoint: "
            f"{explain_refusal(checkpoint.names, shape)}"
        )
    return family
