"""Chunks: the sequences of 77 tokens a text encoder takes, as many as the prompt needs.

Source: AUTOMATIC1111's CLIP hijack (`tokenize_line`).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from stable_diffusion.prompt.emphasis import Break, EmphasisRun
from stable_diffusion.prompt.tokenizer import ClipTokenizer

CHUNK_LENGTH = 77
CAPACITY = CHUNK_LENGTH - 2  # without the begin and end markers
COMMA_REACH = 20  # how far back a comma may lie for a full chunk to be cut after it

_Weighted = tuple[int, float]


@dataclass(frozen=True)
class Chunk:
    """One sequence for the text encoder.

    Attributes:
        token_ids: 77 ids: begin, up to 75 tokens, end, padding.
        weights: 77 weights; those of begin, end and padding are 1.
    """

    token_ids: tuple[int, ...]
    weights: tuple[float, ...]


def chunk_runs(runs: Iterable[EmphasisRun | Break], tokenizer: ClipTokenizer) -> tuple[Chunk, ...]:
    """Divide the runs' tokens into chunks of 75; at least one chunk.

    When a word no longer fits, what follows the chunk's last comma moves to the next chunk with
    it, if that comma is at most 20 tokens back. A `Break` closes the current chunk,
    even an empty one.
    """
    closed: list[list[_Weighted]] = []
    current: list[_Weighted] = []
    for run in runs:
        if isinstance(run, Break):
            closed.append(current)
            current = []
            continue
        for group in tokenizer.groups(run.text):
            if len(current) + len(group) > CAPACITY:
                # the vectors of one embedding must not be split between chunks
                is_whole = len(group) > 1 or group[0] == tokenizer.comma
                cut = len(current) if is_whole else _cut(current, tokenizer.comma)
                closed.append(current[:cut])
                current = current[cut:]
            current += [(token, run.weight) for token in group]
    if current or not closed:
        closed.append(current)
    return tuple(_chunk(tokens, tokenizer) for tokens in closed)


def _cut(tokens: list[_Weighted], comma: int) -> int:
    """How many tokens of a full chunk remain in it."""
    for index in range(CAPACITY - 1, CAPACITY - COMMA_REACH - 1, -1):
        if tokens[index][0] == comma:
            return index + 1
    return CAPACITY


def _chunk(tokens: list[_Weighted], tokenizer: ClipTokenizer) -> Chunk:
    padding = CAPACITY - len(tokens)
    ids = (tokenizer.begin, *(token for token, _ in tokens), tokenizer.end)
    weights = (1.0, *(weight for _, weight in tokens), 1.0)
    return Chunk(ids + (tokenizer.pad,) * padding, weights + (1.0,) * padding)
