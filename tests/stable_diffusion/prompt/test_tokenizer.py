import itertools
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stable_diffusion.prompt.tokenizer import ClipTokenizer


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("", []),
        ("   \n", []),
        ("a diagram", [320, 22697]),
        ("a photo of a cat", [320, 1125, 539, 320, 2368]),
        (
            "a photo of a red dragon on a beach",
            [320, 1125, 539, 320, 736, 5471, 525, 320, 2117],
        ),
        ("hello world!", [3306, 1002, 256]),
        (",", [267]),
    ],
)
def test_known_ids(text: str, ids: list[int]):
    assert ClipTokenizer().encode(text) == ids


def test_case_and_white_space_do_not_matter():
    tokenizer = ClipTokenizer()
    assert tokenizer.encode("  A\tRed\n DRAGON ") == tokenizer.encode("a red dragon")


def test_html_entities_and_composed_letters_are_resolved():
    tokenizer = ClipTokenizer()
    assert tokenizer.encode("salt &amp;amp; pepper") == tokenizer.encode("salt & pepper")
    assert tokenizer.encode("cafe\u0301") == tokenizer.encode("caf\u00e9")


def test_markers_are_those_of_the_model():
    tokenizer = ClipTokenizer()
    assert (tokenizer.begin, tokenizer.end, tokenizer.pad, tokenizer.comma) == (
        49406,
        49407,
        49407,
        267,
    )
    assert ClipTokenizer(pad=0).pad == 0


def test_a_prompt_cannot_write_the_markers():
    ids = ClipTokenizer().encode("<|endoftext|> <|startoftext|>")
    assert ids
    assert max(ids) < ClipTokenizer.begin


def test_half_a_surrogate_pair_is_left_out():
    assert ClipTokenizer().encode("cat\ud800") == ClipTokenizer().encode("cat")


def test_agrees_with_the_tokenizer_of_transformers():
    from transformers import CLIPTokenizer

    from stable_diffusion.prompt.tokenizer import _byte_pairs

    vocabulary = _byte_pairs().get_vocab()
    theirs = CLIPTokenizer(vocab=vocabulary, merges=[*_merges()])  # pyright: ignore[reportArgumentType]
    ours = ClipTokenizer()

    # theirs resolves no HTML entities, reads the markers, and takes control characters for words;
    # a capital sigma ends a word in lower case otherwise than Python has it
    letters = st.characters(categories=["L", "N", "P", "S", "Zs"], exclude_characters="&<Σ")

    @given(st.text(letters, max_size=40) | st.text("the red'sDragon 0123,.!", max_size=40))
    def agree(text: str) -> None:
        assert ours.encode(text) == theirs(text, add_special_tokens=False)["input_ids"]

    agree()


def _merges() -> list[tuple[str, str]]:
    import json

    from stable_diffusion.prompt.tokenizer import _byte_pairs

    return [tuple(pair) for pair in json.loads(_byte_pairs().to_str())["model"]["merges"]]


@given(st.text(alphabet="abcdeghinorst", min_size=1, max_size=20))
def test_pairs_merge_in_the_order_of_the_vocabulary(word: str):
    """The plainest reading of byte-pair encoding: join the earliest known pair, everywhere."""
    from stable_diffusion.prompt.tokenizer import _byte_pairs

    ranks = RANKS or RANKS.update({pair: rank for rank, pair in enumerate(_merges())}) or RANKS
    parts = [*word[:-1], word[-1] + "</w>"]
    while len(parts) > 1:
        best = min(itertools.pairwise(parts), key=lambda pair: ranks.get(pair, 1e9))
        if best not in ranks:
            break
        joined: list[str] = []
        for part in parts:
            if joined and (joined[-1], part) == best:
                joined[-1] += part
            else:
                joined.append(part)
        parts = joined
    assert ClipTokenizer().encode(word) == [_byte_pairs().token_to_id(part) for part in parts]


RANKS: dict[tuple[str, str], int] = {}


def test_a_word_without_end_is_read_in_one_pass():
    assert ClipTokenizer().encode("abcdefgh" * 100_000)


def test_it_is_read_without_importing_clip():
    code = (
        "import sys; from stable_diffusion.prompt.tokenizer import ClipTokenizer;"
        "ClipTokenizer().encode('cat');"
        "sys.exit('clip' in sys.modules or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
