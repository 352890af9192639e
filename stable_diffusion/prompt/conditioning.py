"""From a prompt to the conditioning a network listens to."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from stable_diffusion.conditioning import Conditioning
from stable_diffusion.prompt.blend import BlendPart
from stable_diffusion.prompt.chunks import Chunk, chunk_runs
from stable_diffusion.prompt.emphasis import Break, Run
from stable_diffusion.prompt.grammar import read_prompt
from stable_diffusion.prompt.tokenizer import ClipTokenizer

# (n, 77) int64 token ids to (n, 77, width) hidden states, on whatever device the encoder lives.
TextEncoder = Callable[[Tensor], Tensor]


def encode_pair(
    prompt: str, negative_prompt: str, tokenizer: ClipTokenizer, encoder: TextEncoder
) -> tuple[Conditioning, Conditioning]:
    """The conditioning of a prompt and of its negative: one row each, of the same length.

    The shorter one is filled up with empty chunks.

    Returns:
        Contexts (1, 77·n, width), n being the chunks of the longer prompt, in the type of the
        encoder and on its device.

    Raises:
        PromptError: either of them cannot be read.
    """
    positive, negative = _read(prompt, tokenizer), _read(negative_prompt, tokenizer)
    length = max(_length(positive), _length(negative))
    return (
        Conditioning(_encode(positive, length, tokenizer, encoder)),
        Conditioning(_encode(negative, length, tokenizer, encoder)),
    )


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


def explain(text: str, tokenizer: ClipTokenizer) -> dict[str, object]:
    """What a prompt was taken to mean, as plain JSON data.

    `parts` of the blend, each with its weight, its share of the whole, its `runs` (text and
    weight, or `{"break": true}`), its chunks and its tokens; then `chunks`, those of the longest
    part, and `tokens`, all of them.

    Raises:
        PromptError: the prompt cannot be read.
    """
    parts = _read(text, tokenizer)
    return {
        "parts": [part.echo(tokenizer) for part in parts],
        "chunks": _length(parts),
        "tokens": sum(part.count(tokenizer) for part in parts),
    }


@dataclass(frozen=True)
class _Part:
    """A part of the blend, read to the end. `share` is its weight over the sum of all."""

    blend: BlendPart
    share: float
    runs: tuple[Run | Break, ...]
    chunks: tuple[Chunk, ...]

    def count(self, tokenizer: ClipTokenizer) -> int:
        return sum(len(tokenizer.encode(run.text)) for run in self.runs if isinstance(run, Run))

    def echo(self, tokenizer: ClipTokenizer) -> dict[str, object]:
        return {
            "text": self.blend.text,
            "weight": self.blend.weight,
            "share": self.share,
            "runs": [
                {"text": run.text, "weight": run.weight}
                if isinstance(run, Run)
                else {"break": True}
                for run in self.runs
            ],
            "chunks": len(self.chunks),
            "tokens": self.count(tokenizer),
        }


def _read(text: str, tokenizer: ClipTokenizer) -> tuple[_Part, ...]:
    readings = read_prompt(text)
    total = sum(part.weight for part, _ in readings)
    return tuple(
        _Part(part, part.weight / total, runs, chunk_runs(runs, tokenizer))
        for part, runs in readings
    )


def _length(parts: tuple[_Part, ...]) -> int:
    return max(len(part.chunks) for part in parts)


def _encode(
    parts: tuple[_Part, ...], length: int, tokenizer: ClipTokenizer, encoder: TextEncoder
) -> Tensor:
    """Σ share·encode(part), every part brought to `length` chunks; (1, 77·length, width)."""
    empty = chunk_runs((), tokenizer)
    chunks = [chunk for part in parts for chunk in _filled(part.chunks, length, empty)]
    hidden = encoder(torch.tensor([chunk.token_ids for chunk in chunks]))
    weighted = apply_weights(hidden, torch.tensor([chunk.weights for chunk in chunks]))
    sequences = weighted.reshape(len(parts), length * weighted.shape[1], weighted.shape[2])
    if len(parts) == 1:
        return sequences
    shares = torch.tensor([part.share for part in parts], device=sequences.device)
    blended = (sequences.float() * shares[:, None, None]).sum(dim=0, keepdim=True)
    return blended.to(sequences.dtype)


def _filled(chunks: tuple[Chunk, ...], length: int, empty: tuple[Chunk, ...]) -> tuple[Chunk, ...]:
    return chunks + empty * (length - len(chunks))
