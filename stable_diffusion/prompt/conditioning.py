"""From a prompt to the conditioning of a network: tokenized, encoded, weighted, blended."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from stable_diffusion.conditioning import Conditioning
from stable_diffusion.prompt.chunks import Chunk, chunk_runs
from stable_diffusion.prompt.emphasis import EmphasisRun
from stable_diffusion.prompt.grammar import ParsedPrompt, PromptPart, read_prompt
from stable_diffusion.prompt.tokenizer import ClipTokenizer

TextEncoder = Callable[[Tensor], Tensor]
"""(n, 77) int64 token ids to (n, 77, width) hidden states, on any device."""


def encode_pair(
    prompt: str | ParsedPrompt,
    negative_prompt: str | ParsedPrompt,
    tokenizer: ClipTokenizer,
    encoder: TextEncoder,
) -> tuple[Conditioning, Conditioning]:
    """The conditioning of a prompt and of its negative: one row each, of the same length.

    The shorter one is padded with empty chunks.

    Returns:
        Contexts (1, 77·n, width), n being the chunks of the longer prompt, in the type of the
        encoder and on its device.

    Raises:
        PromptError: one of them cannot be parsed.
    """
    positive, negative = _chunked(prompt, tokenizer), _chunked(negative_prompt, tokenizer)
    length = max(_length(positive), _length(negative))
    return (
        Conditioning(_encode(positive, length, tokenizer, encoder)),
        Conditioning(_encode(negative, length, tokenizer, encoder)),
    )


def apply_weights(hidden: Tensor, weights: Tensor) -> Tensor:
    """Emphasise tokens in a text encoding, leaving the mean of each chunk as it was.

    z ← z·w token by token, then z ← z·(mean before / mean after) over the 77·width values of
    the chunk (AUTOMATIC1111's rule). Where either mean is zero or not finite the second step is
    left out. A chunk whose weights are all 1 is unchanged to the bit.

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


def explain(prompt: str | ParsedPrompt, tokenizer: ClipTokenizer) -> dict[str, object]:
    """How a prompt was parsed, as plain JSON data.

    `parts` of the blend, each with its weight, its share of the whole, its `runs` (text and
    weight, or `{"break": true}`), its chunks and its tokens; then `chunks`, those of the longest
    part, and `tokens`, all of them.

    Raises:
        PromptError: the prompt cannot be parsed.
    """
    parts = _chunked(prompt, tokenizer)
    return {
        "parts": [part.as_json(tokenizer) for part in parts],
        "chunks": _length(parts),
        "tokens": sum(part.tokens(tokenizer) for part in parts),
    }


@dataclass(frozen=True)
class _ChunkedPart:
    """A part of a prompt, tokenized."""

    part: PromptPart
    chunks: tuple[Chunk, ...]

    def tokens(self, tokenizer: ClipTokenizer) -> int:
        runs = (run for run in self.part.runs if isinstance(run, EmphasisRun))
        return sum(len(tokenizer.encode(run.text)) for run in runs)

    def as_json(self, tokenizer: ClipTokenizer) -> dict[str, object]:
        return {
            "text": self.part.text,
            "weight": self.part.weight,
            "share": self.part.share,
            "runs": [
                {"text": run.text, "weight": run.weight}
                if isinstance(run, EmphasisRun)
                else {"break": True}
                for run in self.part.runs
            ],
            "chunks": len(self.chunks),
            "tokens": self.tokens(tokenizer),
        }


def _chunked(prompt: str | ParsedPrompt, tokenizer: ClipTokenizer) -> tuple[_ChunkedPart, ...]:
    return tuple(
        _ChunkedPart(part, chunk_runs(part.runs, tokenizer)) for part in read_prompt(prompt).parts
    )


def _length(parts: tuple[_ChunkedPart, ...]) -> int:
    return max(len(part.chunks) for part in parts)


def _encode(
    parts: tuple[_ChunkedPart, ...], length: int, tokenizer: ClipTokenizer, encoder: TextEncoder
) -> Tensor:
    """Σ share·encode(part), every part padded to `length` chunks; (1, 77·length, width)."""
    empty = chunk_runs((), tokenizer)
    chunks = [chunk for part in parts for chunk in _padded(part.chunks, length, empty)]
    hidden = encoder(torch.tensor([chunk.token_ids for chunk in chunks]))
    weighted = apply_weights(hidden, torch.tensor([chunk.weights for chunk in chunks]))
    sequences = weighted.reshape(len(parts), length * weighted.shape[1], weighted.shape[2])
    if len(parts) == 1:
        return sequences
    shares = torch.tensor([part.part.share for part in parts], device=sequences.device)
    blended = (sequences.float() * shares[:, None, None]).sum(dim=0, keepdim=True)
    return blended.to(sequences.dtype)


def _padded(chunks: tuple[Chunk, ...], length: int, empty: tuple[Chunk, ...]) -> tuple[Chunk, ...]:
    return chunks + empty * (length - len(chunks))
