"""A cache of text encodings: clients repeat prompts, the empty negative prompt above all."""

import threading
from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn

from stable_diffusion.families.parts.part import TextEncoderPart

MAX_CHUNKS = 256
"""One of the widest encoder takes 400 kB."""
Encode = Callable[[Tensor], tuple[Tensor, ...]]
"""Token ids (1, 77) to what a text encoder returns for them, each (1, ...)."""


class TextEncodingCache:
    """The outputs of one text encoder, least recently used evicted first. Thread-safe.

    Every chunk is encoded by itself, so that its encoding does not depend on other chunks.
    """

    def __init__(self, max_chunks: int = MAX_CHUNKS) -> None:
        self._max_chunks = max_chunks
        self._lock = threading.Lock()
        self._encodings: OrderedDict[bytes, tuple[Tensor, ...]] = OrderedDict()

    def outputs(
        self,
        part: TextEncoderPart,
        network: nn.Module,
        token_ids: Tensor,
        device: torch.device,
        clip_skip: int = 1,
    ) -> tuple[Tensor, ...]:
        """What a text encoder on `device` returns for token ids (n, 77), float32 on the CPU."""
        layer = min(clip_skip, part.largest_clip_skip)

        def encode(row: Tensor) -> tuple[Tensor, ...]:
            outputs = part.outputs(network, row.to(device), layer)
            return tuple(output.float().cpu() for output in outputs)

        return self.of(token_ids, encode, f"{part.name} {layer}")

    def of(self, token_ids: Tensor, encode: Encode, encoder: str = "text") -> tuple[Tensor, ...]:
        """Token ids (n, 77) → outputs (n, ...), by `encode` where they are not cached.

        `encoder` names the text encoder that `encode` calls, and the layer. Callers must not write
        to the result.
        """
        rows = [self._row(row, encode, encoder) for row in token_ids.split(1)]
        return tuple(torch.cat(column) for column in zip(*rows, strict=True))

    def _row(self, row: Tensor, encode: Encode, encoder: str) -> tuple[Tensor, ...]:
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
