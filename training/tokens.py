"""Token ids and weights of captions, for the text encoder and for emphasis."""

import random
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from stable_diffusion.prompt.tokenizer import ClipTokenizer
from training.captions import Piece, vocabulary

LENGTH = 77
MAX_THINGS = 2


class TokenBatch(NamedTuple):
    """A batch of captions.

    Attributes:
        ids: (n, 77) int64.
        weights: (n, 77) float32.
        nouns: (n, 2) int64, the position of each thing's noun (its last token), 0 for none.
    """

    ids: Tensor
    weights: Tensor
    nouns: Tensor


class CaptionTokens:
    """Turns captions into rows of 77 tokens, some with random unknown words.

    Unknown words keep an all-zero embedding; in training the encoder learns that they change
    nothing.
    """

    def __init__(self, tokenizer: ClipTokenizer, paddings: Collection[int] = ()) -> None:
        """`paddings`: those of text encoders that pad otherwise than the tokenizer."""
        self.tokenizer = tokenizer
        self._encode = lru_cache(maxsize=None)(tokenizer.encode)
        self.known = frozenset(
            token for words in vocabulary() for token in tokenizer.encode(words)
        ) | {tokenizer.begin, tokenizer.end, tokenizer.pad, *paddings}

    def batch(self, captions: Sequence[Sequence[Piece]], rng: random.Random) -> TokenBatch:
        rows = [self._row(pieces, rng) for pieces in captions]
        ids, weights, nouns = zip(*rows, strict=True)
        return TokenBatch(torch.tensor(ids), torch.tensor(weights), torch.tensor(nouns))

    def _row(
        self, pieces: Sequence[Piece], rng: random.Random
    ) -> tuple[list[int], list[float], list[int]]:
        ids, weights, nouns = [self.tokenizer.begin], [1.0], [0] * MAX_THINGS
        with_unknown = bool(pieces) and rng.random() < 0.15
        for piece in pieces:
            if with_unknown and rng.random() < 0.4:
                ids.append(self._unknown(rng))
                weights.append(1.0)
            tokens = self._encode(piece.words.strip())
            ids += tokens
            weights += [piece.weight] * len(tokens)
            if piece.names is not None:
                nouns[piece.names] = len(ids) - 1
        padding = LENGTH - len(ids)
        ids += [self.tokenizer.end] + [self.tokenizer.pad] * (padding - 1)
        return ids, weights + [1.0] * padding, nouns

    def _unknown(self, rng: random.Random) -> int:
        while (token := rng.randrange(256, self.tokenizer.begin)) in self.known:
            pass
        return token
