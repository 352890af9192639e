"""Attention on a CPU: softmax(q·kᵀ/√d)·v, a few rows of the scores at a time.

PyTorch's kernel never holds the scores either, but multiplies bfloat16 no quicker than float32, and
float32 with MKL. Rows are as many as their scores stay in a core's cache.
Source: Vaswani et al. 2017, equation 1; Rabe and Staats 2021 for the rows.
"""

import re
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from stable_diffusion.cpu import linear

_CACHED = 4 * 2**20
"""Bytes of scores that stay near a core, in bfloat16."""
_CACHED_FULL = 8 * 2**20
"""The same in float32, of one head. Fewer rows would lay out keys and values more often."""
_FEW_ROWS = 128
"""Rows below which laying out keys and values, which every product does anew, takes too large a
share: then one head at a time has more of them."""
_ZEN_5 = 26
_FEW = 2**19
"""Scores of a head below which PyTorch's kernel is the quickest in float32."""


@cache
def wide_amd() -> bool:
    """Whether MKL uses half of the width that this processor has: of AMD's, since Zen 5.

    Its float32 is made for 256 bits there, as wide as Zen 4 computes; oneDNN's is for 512.
    """
    with suppress(OSError):
        processor = Path("/proc/cpuinfo").read_text()
        family = re.search(r"^cpu family\s*: (\d+)$", processor, re.MULTILINE)
        return "AuthenticAMD" in processor and family is not None and int(family[1]) >= _ZEN_5
    return False


def attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention without a mask: (n, heads, tokens, d), twice (n, heads, keys, d) → as `query`."""
    on_cpu = query.device.type == "cpu" and not torch.is_grad_enabled()
    if on_cpu and query.dtype == torch.bfloat16:
        return torch.stack([_by_rows(*one) for one in zip(query, key, value, strict=True)])
    large = query.shape[-2] * key.shape[-2] >= _FEW
    if on_cpu and query.dtype == torch.float32 and large and linear.AVAILABLE and wide_amd():
        return _head_by_head(query, key, value)
    return F.scaled_dot_product_attention(query, key, value)


def _by_rows(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Of one picture, (heads, tokens, d): a few rows, and of all heads if they are not too few."""
    query, value = query.contiguous(), value.contiguous()
    keys = (key * query.shape[-1] ** -0.5).contiguous().transpose(1, 2)
    heads, tokens, count = len(query), query.shape[1], key.shape[1]
    cached = _CACHED // (count * query.element_size())
    together = heads if cached >= _FEW_ROWS * heads else 1
    rows = min(tokens, max(1, cached // together))
    # one memory for all: to ask for as much anew every time takes as long as to multiply
    scores, shares = query.new_empty(2, together, rows, count)
    result = torch.empty_like(query)
    parts = (tensor.split(together) for tensor in (query, keys, value, result))
    for queries, its_keys, values, places in zip(*parts, strict=True):
        for some, place in zip(queries.split(rows, 1), places.split(rows, 1), strict=True):
            last = some.shape[1]
            torch.bmm(some, its_keys, out=scores[:, :last])
            torch.softmax(scores[:, :last], -1, out=shares[:, :last])
            place.copy_(torch.bmm(shares[:, :last], values))
    return result


def _head_by_head(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """By oneDNN, which takes one matrix at a time."""
    result = torch.empty_like(query, memory_format=torch.contiguous_format)
    rows = min(query.shape[-2], max(1, _CACHED_FULL // (key.shape[-2] * query.element_size())))
    shares = query.new_empty(rows, key.shape[-2])
    heads = zip(*(t.flatten(0, 1) for t in (query, key, value, result)), strict=True)
    for q, k, v, out in heads:
        keys, values = (k * q.shape[-1] ** -0.5).contiguous(), v.t().contiguous()
        for some, place in zip(q.split(rows), out.split(rows), strict=True):
            scores = linear.linear(some.contiguous(), keys)
            share = torch.softmax(scores, -1, out=shares[: len(some)])
            place.copy_(linear.linear(share, values))
    return result


class QuickAttention(nn.Module):
    """An attention layer of a UNet, which has no mask and no norm: the parts of diffusers' own.

    That one looks at its processor's signature at every call, and asks after ten cases that a UNet
    of Stable Diffusion does not have.
    """

    def __init__(self, theirs: Attention) -> None:
        super().__init__()
        self.to_q, self.to_k, self.to_v = theirs.to_q, theirs.to_k, theirs.to_v
        self.to_out = theirs.to_out
        self._heads = theirs.heads

    def forward(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        """(n, tokens, width), perhaps a context (n, keys, its width) → (n, tokens, width)."""
        assert attention_mask is None
        assert self.to_k and self.to_v and self.to_out
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        states = (self.to_q(hidden_states), self.to_k(context), self.to_v(context))
        split = (state.unflatten(-1, (self._heads, -1)).transpose(1, 2) for state in states)
        return self.to_out[0](attention(*split).transpose(1, 2).flatten(2))
