"""Bounds of a recipe's numbers. Free of torch, so that the API applies the engine's own."""

from stable_diffusion.errors import RecipeError

MIN_STEPS = 1
MAX_STEPS = 1000
"""The training levels of a model: more steps would visit one of them twice."""
MAX_CLIP_SKIP = 12
"""The layers of CLIP ViT-L's text encoder."""
MAX_CACHE_INTERVAL = 10
"""Evaluations that use the same deep layers; the paper of DeepCache goes up to that."""
MAX_STRENGTH = 1
"""Strength is above 0 and at most this."""


def check_steps(steps: int) -> None:
    """Raise RecipeError for a number of steps out of bounds."""
    if not MIN_STEPS <= steps <= MAX_STEPS:
        raise RecipeError(f"steps is {steps}; it must be {MIN_STEPS} to {MAX_STEPS}")


def check_strength(strength: float) -> None:
    """Raise RecipeError for a strength out of bounds."""
    if not 0 < strength <= MAX_STRENGTH:
        raise RecipeError(f"strength is {strength}; it must be above 0 and at most {MAX_STRENGTH}")


def executed_steps(steps: int, strength: float = 1.0) -> int:
    """Steps that are executed: ⌊strength·steps⌋, at least 1. Text to image has strength 1.

    Raises:
        RecipeError: steps outside 1 to 1000, or strength not above 0 and up to 1.
    """
    check_steps(steps)
    check_strength(strength)
    return max(1, min(int(strength * steps), steps))
