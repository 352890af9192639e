"""Encodings of prompts that were asked for before: people send the same prompt again and again, and
the empty negative prompt always.
"""

import threading
from collections import OrderedDict

import torch
from torch import Tensor

from stable_diffusion.prompt.conditioning import TextEncoder

KEPT = 256
"""Chunks that are remembered; of the widest encoder one takes 315 kB."""


class TextEncodingCache:
    """What one text encoder answered, the latest asked for. Safe to share between threads.

    A chunk is encoded by itself, so that its encoding does not depend on what was asked with it.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._lock = threading.Lock()
        self._known: OrderedDict[bytes, Tensor] = OrderedDict()

    def of(self, token_ids: Tensor, encode: TextEncoder, encoder: str = "text") -> Tensor:
        """Token ids (n, 77) → encoding (n, 77, width), by `encode` where it is not known.

        `encoder` is the name of the text encoder that `encode` calls.

        The rows are nobody's to write to.
        """
        return torch.cat([self._row(row, encode, encoder) for row in token_ids.split(1)])

    def _row(self, row: Tensor, encode: TextEncoder, encoder: str) -> Tensor:
        name = encoder.encode() + row.cpu().numpy().tobytes()
        with self._lock:
            known = self._known.get(name)
            if known is not None:
                self._known.move_to_end(name)
                return known
        # two who ask at once may both encode: the answers are the same
        encoded = encode(row)
        with self._lock:
            self._known[name] = encoded
            while len(self._known) > self._kept:
                self._known.popitem(last=False)
        return encoded
