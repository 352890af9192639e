"""Textual inversion in a prompt: names of learned vectors.

Each vector gets a token id of its own beyond CLIP's vocabulary; the text encoder is extended by a
row for each (`ExtendedEmbedding`). Source: Gal et al. 2022, arXiv:2208.01618.
"""

import re
from collections.abc import Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stable_diffusion.prompt.tokenizer import ClipTokenizer

VOCABULARY = ClipTokenizer.end + 1
"""The first id beyond CLIP's own."""


class ExtendedTokenizer(ClipTokenizer):
    """CLIP's tokenizer, extended by names of vectors.

    A name is found as a whole word, in any case, in angle brackets, and after `embedding:`.

    Args:
        pad: as of ClipTokenizer.
        vectors: how many vectors each name has, in the order of their rows.
    """

    def __init__(self, vectors: Mapping[str, int], *, pad: int) -> None:
        super().__init__(pad=pad)
        self._ids: dict[str, list[int]] = {}
        row = VOCABULARY
        for name, count in vectors.items():
            self._ids[name.lower()] = list(range(row, row + count))
            row += count
        self._names = pattern_of(vectors)

    def groups(self, text: str) -> Iterator[list[int]]:
        start = 0
        for match in self._names.finditer(text):
            yield from super().groups(text[start : match.start()])
            yield self._ids[found_name(match)]
            start = match.end()
        yield from super().groups(text[start:])


def pattern_of(names: Mapping[str, object]) -> re.Pattern[str]:
    """Finds any of the names in a text, the longest first; `found_name` says which it was."""
    either = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True)) or r"(?!)"
    return re.compile(
        rf"<(?P<tagged>{either})>"
        rf"|(?<![\w:])embedding:(?P<prefixed>{either})(?:\.(?:pt|bin|safetensors))?(?![\w-])"
        rf"|(?<!\w)(?P<bare>{either})(?!\w)",
        re.IGNORECASE,
    )


def found_name(match: re.Match[str]) -> str:
    """The name that `pattern_of` has found, in lower case."""
    return (match["bare"] or match["tagged"] or match["prefixed"]).lower()


class ExtendedEmbedding(nn.Module):
    """A token embedding with further rows after its own.

    Args:
        weight: (vocabulary, width), may be shared with other models.
        further: (n, width), for the ids from `vocabulary` on.
    """

    def __init__(self, weight: Tensor, further: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.further = nn.Parameter(further.to(weight), requires_grad=False)

    def forward(self, ids: Tensor) -> Tensor:
        own = F.embedding(ids.clamp(max=len(self.weight) - 1), self.weight)
        further = F.embedding((ids - len(self.weight)).clamp(min=0), self.further)
        return torch.where((ids >= len(self.weight))[..., None], further, own)
