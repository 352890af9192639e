import pytest
from hypothesis import given
from hypothesis import strategies as st

from stable_diffusion.prompt.chunks import chunk_runs
from stable_diffusion.prompt.emphasis import Break, EmphasisRun, parse_emphasis
from stable_diffusion.prompt.tokenizer import ClipTokenizer

BEGIN, END = ClipTokenizer.begin, ClipTokenizer.end
CAT, DOG, COMMA = 2368, 1929, 267


@pytest.fixture(scope="module")
def tokenizer() -> ClipTokenizer:
    return ClipTokenizer()


def words(prompt: str, tokenizer: ClipTokenizer) -> list[list[int]]:
    """The ids of each chunk between its markers."""
    chunks = chunk_runs(parse_emphasis(prompt), tokenizer)
    return [list(chunk.token_ids[1 : chunk.token_ids.index(END)]) for chunk in chunks]


def test_an_empty_prompt_is_one_chunk_of_padding(tokenizer: ClipTokenizer):
    (chunk,) = chunk_runs(parse_emphasis(""), tokenizer)
    assert chunk.token_ids == (BEGIN, *[END] * 76)
    assert chunk.weights == (1.0,) * 77


def test_stable_diffusion_2_pads_with_zero_after_the_end(tokenizer: ClipTokenizer):
    (chunk,) = chunk_runs(parse_emphasis("cat"), ClipTokenizer(pad=0))
    assert chunk.token_ids == (BEGIN, CAT, END, *[0] * 74)


def test_tokens_inherit_the_weight_of_their_run(tokenizer: ClipTokenizer):
    (chunk,) = chunk_runs((EmphasisRun("cat ", 1.0), EmphasisRun("a dog", 1.5)), tokenizer)
    assert chunk.token_ids[:5] == (BEGIN, CAT, 320, DOG, END)
    assert chunk.weights == (1.0, 1.0, 1.5, 1.5, *[1.0] * 73)


def test_75_words_fit_one_chunk_and_the_76th_opens_another(tokenizer: ClipTokenizer):
    assert words("cat " * 75, tokenizer) == [[CAT] * 75]
    assert words("cat " * 76, tokenizer) == [[CAT] * 75, [CAT]]


@pytest.mark.parametrize(("after", "kept"), [(0, 75), (1, 74), (19, 56), (20, 75), (40, 75)])
def test_words_after_a_near_comma_move_on_together(tokenizer: ClipTokenizer, after: int, kept: int):
    before = 74 - after
    prompt = "cat " * before + "," + "dog " * (after + 5)
    expected = [CAT] * before + [COMMA] + [DOG] * (after + 5)
    assert words(prompt, tokenizer) == [expected[:kept], expected[kept:]]


def test_a_full_chunk_at_the_end_of_the_prompt_stays_whole(tokenizer: ClipTokenizer):
    prompt = "cat " * 70 + "," + "dog " * 4
    assert words(prompt, tokenizer) == [[CAT] * 70 + [COMMA] + [DOG] * 4]


def test_a_comma_that_no_longer_fits_opens_the_next_chunk_alone(tokenizer: ClipTokenizer):
    prompt = "cat " * 70 + "," + "dog " * 4 + ", cat"
    assert words(prompt, tokenizer) == [[CAT] * 70 + [COMMA] + [DOG] * 4, [COMMA, CAT]]


def test_break_opens_a_new_chunk(tokenizer: ClipTokenizer):
    assert words("cat BREAK dog", tokenizer) == [[CAT], [DOG]]
    assert words("cat BREAK", tokenizer) == [[CAT]]
    assert words("cat BREAK BREAK dog", tokenizer) == [[CAT], [], [DOG]]


@given(
    st.lists(
        st.builds(EmphasisRun, st.text(alphabet="cat, 9", max_size=80), st.floats(-2, 2))
        | st.builds(Break),
        max_size=8,
    )
)
def test_no_word_is_lost_and_every_chunk_has_77_tokens(runs: list[EmphasisRun | Break]):
    tokenizer = ClipTokenizer()
    chunks = chunk_runs(runs, tokenizer)
    assert all(len(chunk.token_ids) == len(chunk.weights) == 77 for chunk in chunks)
    expected = [
        (token, run.weight)
        for run in runs
        if isinstance(run, EmphasisRun)
        for token in tokenizer.encode(run.text)
    ]
    found: list[tuple[int, float]] = []
    for chunk in chunks:
        length = chunk.token_ids.index(END)
        found += zip(chunk.token_ids[1:length], chunk.weights[1:length], strict=True)
    assert found == expected
