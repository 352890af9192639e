"""What a network is conditioned on, and the type of a network that takes it.

Guidance, step batching, recorded graphs and offloading carry a `Conditioning` and use its methods;
only the call of a network reads its fields.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Conditioning:
    """Everything a denoising network is given besides latents and timesteps; n rows of it.

    Attributes:
        context: (n, tokens, width) token embeddings for cross attention.
        pooled: (n, width) embedding of the whole text (SDXL's `text_embeds`).
        time_ids: (n, count) sizes and offsets in pixels (SDXL's micro-conditioning).
        controls: (n, ...) each: images or features for control networks.
        concat: (n, K, h, w) channels that the network takes behind those of the latents (CompVis's
            `c_concat`): a mask, the latents of an image.
        guidance: (n, width) embedding of the guidance scale, see `guidance_embedding`.
    """

    context: Tensor
    pooled: Tensor | None = None
    time_ids: Tensor | None = None
    controls: tuple[Tensor, ...] = ()
    concat: Tensor | None = None
    guidance: Tensor | None = None

    @property
    def rows(self) -> int:
        """n, the number of latents it conditions."""
        return len(self.context)

    @property
    def device(self) -> torch.device:
        """Where its tensors are."""
        return self.context.device

    @property
    def dtype(self) -> torch.dtype:
        """The type of its embeddings."""
        return self.context.dtype

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Its tensors in the order of its fields, without those that are None."""
        return (self.context, *(t for t in self._optional if t is not None), *self.controls)

    @property
    def batch_key(self) -> Hashable:
        """Equal for two conditionings whose rows can be evaluated together, as by `cat`."""
        fields = tuple(tensor is not None for tensor in self._optional)
        return fields, tuple((tensor.shape[1:], tensor.dtype) for tensor in self.tensors)

    def with_tensors(self, tensors: Sequence[Tensor]) -> "Conditioning":
        """The same fields with other tensors, given in the order of `tensors`."""
        rest = list(tensors)
        context = rest.pop(0)
        pooled = rest.pop(0) if self.pooled is not None else None
        time_ids = rest.pop(0) if self.time_ids is not None else None
        concat = rest.pop(0) if self.concat is not None else None
        guidance = rest.pop(0) if self.guidance is not None else None
        return Conditioning(context, pooled, time_ids, tuple(rest), concat, guidance)

    def to(self, device: torch.device, dtype: torch.dtype | None = None) -> "Conditioning":
        """Move it, and convert all but `time_ids` to `dtype`.

        `time_ids` keep their type: bfloat16 is too coarse for numbers of pixels.
        """
        return Conditioning(
            self.context.to(device, dtype),
            None if self.pooled is None else self.pooled.to(device, dtype),
            None if self.time_ids is None else self.time_ids.to(device),
            tuple(control.to(device, dtype) for control in self.controls),
            None if self.concat is None else self.concat.to(device, dtype),
            None if self.guidance is None else self.guidance.to(device, dtype),
        )

    def without_text(self) -> "Conditioning":
        """The same with zeros for the embeddings of the text, as some networks know no text."""
        zeros = None if self.pooled is None else torch.zeros_like(self.pooled)
        return replace(self, context=torch.zeros_like(self.context), pooled=zeros)

    def expand(self, n: int) -> "Conditioning":
        """The single row n times, without a copy."""
        return self.with_tensors([t.expand(n, *t.shape[1:]) for t in self.tensors])

    def interleave(self, *others: "Conditioning") -> "Conditioning":
        """Rows of all in turn: self[0], other[0] …, self[1], other[1] …

        Args:
            others: as many rows each, of the same `batch_key`.
        """
        columns = zip(self.tensors, *(other.tensors for other in others), strict=True)
        return self.with_tensors([torch.stack(column, 1).flatten(0, 1) for column in columns])

    def split(self, size: int | Sequence[int]) -> tuple["Conditioning", ...]:
        """Parts of `size` rows each, the last perhaps smaller; or of the sizes given."""
        sizes = size if isinstance(size, int) else list(size)
        parts = zip(*(tensor.split(sizes) for tensor in self.tensors), strict=True)
        return tuple(self.with_tensors(part) for part in parts)

    @classmethod
    def cat(cls, items: Sequence["Conditioning"]) -> "Conditioning":
        """The rows of all items, one after another; all of the same `batch_key`."""
        columns = zip(*(item.tensors for item in items), strict=True)
        return items[0].with_tensors([torch.cat(column) for column in columns])

    @property
    def _optional(self) -> tuple[Tensor | None, ...]:
        return self.pooled, self.time_ids, self.concat, self.guidance


Network = Callable[[Tensor, Tensor, Conditioning], Tensor]
"""(latents (n, C, h, w), timesteps (n,) float32, n rows of conditioning) to a prediction
(n, C, h, w): the noise ε or the velocity v."""
