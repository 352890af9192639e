"""CLIP's tokenizer: its own byte-pair vocabulary, applied by Hugging Face's `tokenizers`.

Source: OpenAI CLIP, `simple_tokenizer.py` (Radford et al. 2021, arXiv:2103.00020, section 2.4).
"""

import gzip
import html
import json
import unicodedata
from collections.abc import Iterator
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

from tokenizers import Regex, Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split

# The vocabulary is a data file of this distribution; its code is not imported.
_DISTRIBUTION = "clip-anytorch"
_VOCABULARY = "clip/bpe_simple_vocab_16e6.txt.gz"
# 49,408 tokens: 256 bytes, the same 256 ending a word, the merges, and the two markers.
_MERGES = 49152 - 256 - 2
_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"


class ClipTokenizer:
    """Text to CLIP token ids.

    Attributes:
        begin: id 49406, opens every sequence of 77.
        end: id 49407, ends its text.
        pad: id of the padding; `end` for Stable Diffusion 1, 0 for Stable Diffusion 2.
        comma: id of "," as a word of its own, 267.
    """

    begin = 49406
    end = 49407
    comma = 267

    def __init__(self, *, pad: int = end) -> None:
        self.pad = pad
        self._pairs = _byte_pairs()

    def encode(self, text: str) -> list[int]:
        """Ids of `text` without `begin` or `end`: any length, empty for blank text.

        Text is cleaned as CLIP does: HTML entities resolved, characters composed (NFC), white
        space collapsed, lower case. Words that spell a marker (`<|endoftext|>`) stay words, so
        that no prompt can close its own sequence.
        """
        return [token for group in self.groups(text) for token in group]

    def groups(self, text: str) -> Iterator[list[int]]:
        """The same ids, grouped by what must not be split between chunks."""
        for token in self._pairs.encode(_clean(text), add_special_tokens=False).ids:
            yield [token]


def _clean(text: str) -> str:
    text = html.unescape(html.unescape(text))
    # JSON can carry half a surrogate pair, which no encoding of text can
    text = text.encode("utf-8", "ignore").decode("utf-8")
    return " ".join(unicodedata.normalize("NFC", text).split()).lower()


@cache
def _byte_pairs() -> Tokenizer:
    """The byte-pair encoder, loaded once and shared: it has no state."""
    path = Path(str(distribution(_DISTRIBUTION).locate_file(_VOCABULARY)))
    # the first line is the file's version
    lines = gzip.decompress(path.read_bytes()).decode("utf-8").split("\n")[1 : _MERGES + 1]
    merges = [(left, right) for left, right in (line.split() for line in lines)]
    letters = _byte_letters()
    tokens = [*letters, *(letter + "</w>" for letter in letters)]
    tokens += [left + right for left, right in merges]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(BPE(vocabulary, merges, end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = Sequence(
        [
            Split(Regex(_WORDS), behavior="removed", invert=True),
            ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return tokenizer


def vocabulary_and_merges() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """The ids of all tokens, and the merges in their order, as other tokenizers need them."""
    merges = json.loads(_byte_pairs().to_str())["model"]["merges"]
    return _byte_pairs().get_vocab(), [(left, right) for left, right in merges]


def _byte_letters() -> list[str]:
    """The 256 letters that encode bytes: printable Latin-1 as itself, then U+0100 onwards."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    return [chr(byte) for byte in printable] + [chr(0x100 + n) for n in range(256 - len(printable))]
