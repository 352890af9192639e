"""What the shapes of a checkpoint's tensors say of its UNet."""

import re
from collections.abc import Collection

from stable_diffusion.families.family import Shape

_CROSS_ATTENTION = re.compile(r"attn2\.?to_k\.?weight$")
_FIRST_CONVOLUTION = re.compile(
    r"(diffusion_model\.?input_blocks\.?0\.?0\.?|unet\.conv_in\.)weight$"
)
_GUIDANCE_EMBEDDING = re.compile(r"time_embed(ding)?\.?cond_proj\.?weight$")


def context_width(names: Collection[str], shape: Shape) -> int | None:
    """Width of the embeddings that a UNet attends to; None: there is no cross-attention."""
    name = next((name for name in sorted(names) if _CROSS_ATTENTION.search(name)), None)
    return None if name is None else _dimension(shape(name), -1)


def input_channels(names: Collection[str], shape: Shape) -> int | None:
    """Channels that a UNet's first convolution takes; None: it was not found."""
    name = next((name for name in names if _FIRST_CONVOLUTION.search(name)), None)
    return None if name is None else _dimension(shape(name), 1)


def has_guidance_embedding(names: Collection[str]) -> bool:
    """Whether a UNet takes the guidance scale as an input."""
    return any(_GUIDANCE_EMBEDDING.search(name) for name in names)


def _dimension(shape: tuple[int, ...], index: int) -> int:
    # a scalar where a matrix is expected has no width
    return shape[index] if len(shape) >= 2 else (0, 0, *shape)[index]
