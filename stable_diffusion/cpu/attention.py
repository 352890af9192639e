"""Attention on a CPU: softmax(q·kᵀ/√d)·v, a block of rows of the scores at a time.

PyTorch's kernel does not store all scores either, but multiplies bfloat16 no faster than float32,
and float32 with MKL. A block has as many rows as their scores fit into a core's cache.
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

_BLOCK_BYTES = 4 * 2**20
"""Bytes of a block of scores in bfloat16, which fit into a core's cache."""
_BLOCK_BYTES_FLOAT32 = 8 * 2**20
"""The same in float32, for one head. Smaller blocks would reorder keys and values more often."""
_MIN_ROWS = 128
"""Rows of a block below which reordering keys and values, which every product repeats, takes too
large a share of the time: then heads are computed one at a time, with more rows each."""
_ZEN_5 = 26
_MIN_SCORES = 2**19
"""Scores of a head below which PyTorch's kernel is the fastest in float32."""


@cache
def wide_amd() -> bool:
    """Whether MKL uses half of this processor's vector width: on AMD's since Zen 5.

    Its float32 kernels for AMD have 256 bits, the width of Zen 4; oneDNN's have 512.
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
    large = query.shape[-2] * key.shape[-2] >= _MIN_SCORES
    if on_cpu and query.dtype == torch.float32 and large and linear.AVAILABLE and wide_amd():
        return _head_by_head(query, key, value)
    return F.scaled_dot_product_attention(query, key, value)


def _by_rows(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """For one image, (heads, tokens, d): blocks of rows, of all heads together if large enough."""
    query, value = query.contiguous(), value.contiguous()
    keys = (key * query.shape[-1] ** -0.5).contiguous().transpose(1, 2)
    heads, tokens, count = len(query), query.shape[1], key.shape[1]
    rows_cached = _BLOCK_BYTES // (count * query.element_size())
    together = heads if rows_cached >= _MIN_ROWS * heads else 1
    rows = min(tokens, max(1, rows_cached // together))
    # allocated once: allocating for every block takes as long as multiplying
    scores, shares = query.new_empty(2, together, rows, count)
    result = torch.empty_like(query)
    parts = (tensor.split(together) for tensor in (query, keys, value, result))
    for queries, block_keys, values, outputs in zip(*parts, strict=True):
        for block, output in zip(queries.split(rows, 1), outputs.split(rows, 1), strict=True):
            last = block.shape[1]
            torch.bmm(block, block_keys, out=scores[:, :last])
            torch.softmax(scores[:, :last], -1, out=shares[:, :last])
            output.copy_(torch.bmm(shares[:, :last], values))
    return result


def _head_by_head(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """With oneDNN, which multiplies one matrix at a time."""
    result = torch.empty_like(query, memory_format=torch.contiguous_format)
    rows = min(
        query.shape[-2], max(1, _BLOCK_BYTES_FLOAT32 // (key.shape[-2] * query.element_size()))
    )
    shares = query.new_empty(rows, key.shape[-2])
    heads = zip(*(t.flatten(0, 1) for t in (query, key, value, result)), strict=True)
    for q, k, v, out in heads:
        keys, values = (k * q.shape[-1] ** -0.5).contiguous(), v.t().contiguous()
        for block, output in zip(q.split(rows), out.split(rows), strict=True):
            scores = linear.linear(block.contiguous(), keys)
            share = torch.softmax(scores, -1, out=shares[: len(block)])
            output.copy_(linear.linear(share, values))
    return result


class QuickAttention(nn.Module):
    """A UNet's attention layer, without mask and norm, made of the layers of diffusers' own.

    diffusers' own inspects its processor's signature at every call, and checks ten cases that do
    not occur in a UNet of Stable Diffusion.
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
        assert self.to_k is not None and self.to_v is not None and self.to_out is not None
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        states = (self.to_q(hidden_states), self.to_k(context), self.to_v(context))
        split = (state.unflatten(-1, (self._heads, -1)).transpose(1, 2) for state in states)
        return self.to_out[0](attention(*split).transpose(1, 2).flatten(2))
