"""From a prompt to the conditioning of a network: tokenized, encoded, weighted, blended."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from stable_diffusion.conditioning import Conditioning
from stable_diffusion.prompt.chunks import Chunk, chunk_runs
from stable_diffusion.prompt.emphasis import EmphasisRun
from stable_diffusion.prompt.grammar import (
    ParsedPrompt,
    PromptPart,
    PromptSchedule,
    read_prompt,
    schedules_of,
)
from stable_diffusion.prompt.tokenizer import ClipTokenizer

TextEncoder = Callable[[Tensor], Tensor]
"""(n, 77) int64 token ids to (n, 77, width) hidden states, on any device."""
Pool = Callable[[Tensor], Tensor]
"""(n, 77) int64 token ids to (n, width) embeddings of the whole texts."""


def encode_prompts(
    prompts: Sequence[str | ParsedPrompt],
    tokenizer: ClipTokenizer,
    *encoders: TextEncoder,
    pool: Pool | None = None,
) -> tuple[Conditioning, ...]:
    """The conditionings of prompts that a network gets side by side: one row each, equally long.

    Shorter ones are padded with empty chunks.

    Args:
        prompts: not composed, see `ParsedPrompt`.
        encoders: at least one. Each encodes and weights the same chunks; their states are joined
            along the width.
        pool: embeds whole texts; None: there is no such embedding.

    Returns:
        Contexts (1, 77·n, width), n being the chunks of the longest prompt, in the type of the
        encoders and on their device. Pooled (1, width), where asked for: that of the first chunk,
        which emphasis does not change, as in AUTOMATIC1111; of a blend, the blended ones.

    Raises:
        PromptError: one of them cannot be parsed.
    """
    chunked = [_chunked(prompt, tokenizer) for prompt in prompts]
    length = max(map(_length, chunked))
    return tuple(
        Conditioning(
            torch.cat([_encode(parts, length, tokenizer, encoder) for encoder in encoders], -1),
            None if pool is None else _pooled(parts, pool),
        )
        for parts in chunked
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


def explain(
    prompt: str | ParsedPrompt, tokenizer: ClipTokenizer, steps: int = 1
) -> dict[str, object]:
    """How a prompt was parsed, as plain JSON data.

    `parts` of the blend, each with its weight, its share of the whole, its `runs` (text and
    weight, or `{"break": true}`), its chunks and its tokens; then `chunks`, those of the longest
    part, and `tokens`, all of them. Of a prompt that is composed or edited the parts are its
    prompts, each with its weight and its `schedule`: the last step, text and runs of each stage;
    `chunks` and `tokens` are then the most that a step has.

    Args:
        steps: sampling steps asked for.

    Raises:
        PromptError: the prompt cannot be parsed.
    """
    parsed = read_prompt(prompt)
    named = {} if parsed.grammar == "native" else {"grammar": parsed.grammar}
    if not parsed.composed:
        parts = _chunked(parsed, tokenizer)
        described = [part.as_json(tokenizer) for part in parts]
        chunks, tokens = _length(parts), sum(part.tokens(tokenizer) for part in parts)
    else:
        prompts = [_scheduled_json(one, tokenizer) for one in schedules_of(parsed, steps)]
        described = [
            {"text": whole.text.text.strip(), **one}
            for whole, one in zip(parsed.composed, prompts, strict=True)
        ]
        chunks = max(stage["chunks"] for one in prompts for stage in one["schedule"])
        tokens = sum(max(stage["tokens"] for stage in one["schedule"]) for one in prompts)
    return {**named, "parts": described, "chunks": chunks, "tokens": tokens}


def _scheduled_json(prompt: PromptSchedule, tokenizer: ClipTokenizer) -> dict[str, Any]:
    stages: list[dict[str, Any]] = []
    for last, stage in prompt.stages:
        (part,) = _chunked(stage, tokenizer)
        described = part.as_json(tokenizer)
        kept = {name: described[name] for name in ("text", "runs", "chunks", "tokens")}
        stages.append({"until_step": last, **kept})
    return {"weight": prompt.weight, "schedule": stages}


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
    return _blended(parts, weighted.reshape(len(parts), length * weighted.shape[1], -1))


def _pooled(parts: tuple[_ChunkedPart, ...], pool: Pool) -> Tensor:
    """Σ share·pool(the first chunk of a part), (1, width)."""
    return _blended(parts, pool(torch.tensor([part.chunks[0].token_ids for part in parts])))


def _blended(parts: tuple[_ChunkedPart, ...], encodings: Tensor) -> Tensor:
    """Σ share·encoding, of the parts' encodings (parts, ...) → (1, ...)."""
    if len(parts) == 1:
        return encodings
    shares = torch.tensor([part.part.share for part in parts], device=encodings.device)
    shares = shares.reshape(-1, *(1,) * (encodings.dim() - 1))
    return (encodings.float() * shares).sum(dim=0, keepdim=True).to(encodings.dtype)


def _padded(chunks: tuple[Chunk, ...], length: int, empty: tuple[Chunk, ...]) -> tuple[Chunk, ...]:
    return chunks + empty * (length - len(chunks))
