"""A cache of text encodings: clients repeat prompts, the empty negative prompt above all."""

import threading
from collections import OrderedDict

import torch
from torch import Tensor

from stable_diffusion.prompt.conditioning import TextEncoder

MAX_CHUNKS = 256
"""One of the widest encoder takes 315 kB."""


class TextEncodingCache:
    """The outputs of one text encoder, least recently used evicted first. Thread-safe.

    Every chunk is encoded by itself, so that its encoding does not depend on other chunks.
    """

    def __init__(self, max_chunks: int = MAX_CHUNKS) -> None:
        self._max_chunks = max_chunks
        self._lock = threading.Lock()
        self._encodings: OrderedDict[bytes, Tensor] = OrderedDict()

    def of(self, token_ids: Tensor, encode: TextEncoder, encoder: str = "text") -> Tensor:
        """Token ids (n, 77) → encoding (n, 77, width), by `encode` where it is not cached.

        `encoder` names the text encoder that `encode` calls, and the layer. Callers must not write
        to the result.
        """
        return torch.cat([self._row(row, encode, encoder) for row in token_ids.split(1)])

    def _row(self, row: Tensor, encode: TextEncoder, encoder: str) -> Tensor:
        key = encoder.encode() + row.cpu().numpy().tobytes()
        with self._lock:
            known = self._encodings.get(key)
            if known is not None:
                self._encodings.move_to_end(key)
                return known
        # two threads may encode the same row: the results are equal
        encoded = encode(row)
        with self._lock:
            self._encodings[key] = encoded
            while len(self._encodings) > self._max_chunks:
                self._encodings.popitem(last=False)
        return encoded
