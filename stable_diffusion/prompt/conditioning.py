"""From a prompt to the conditioning a network listens to."""

import torch
from torch import Tensor


def apply_weights(hidden: Tensor, weights: Tensor) -> Tensor:
    """Emphasise tokens in a text encoding, leaving the mean of each chunk as it was.

    z ← z·w token by token, then z ← z·(mean before / mean after) over the 77·width values of
    the chunk (AUTOMATIC1111's rule). Where either mean is zero or not finite the second step is
    left out. A chunk whose weights are all 1 comes back bit for bit.

    Args:
        hidden: (n, 77, width) output of the text encoder, any floating type.
        weights: (n, 77), one weight a token.

    Returns:
        (n, 77, width), in the type of `hidden`. Differentiable in `hidden`.
    """
    z = hidden.float()
    before = z.mean(dim=(1, 2), keepdim=True)
    z = z * weights.to(z)[..., None]
    after = z.mean(dim=(1, 2), keepdim=True)
    # 1 in place of an unusable divisor: a gradient through 0/0 would be NaN even where unused
    ratio = before / torch.where(after == 0, 1.0, after)
    usable = torch.isfinite(ratio) & (before != 0) & (after != 0) & torch.isfinite(after)
    return (z * torch.where(usable, ratio, 1.0)).to(hidden.dtype)
