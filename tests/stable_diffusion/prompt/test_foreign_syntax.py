import pytest

from stable_diffusion.prompt.foreign_syntax import foreign_syntax_warnings
from stable_diffusion.prompt.grammar import read_prompt


@pytest.mark.parametrize(
    ("prompt", "kind", "example"),
    [
        ("a [cat:dog:0.5] on a mat", "prompt editing", "[cat:dog:0.5]"),
        ("a [cat:0.5] on a mat", "prompt editing", "[cat:0.5]"),
        ("[:a dog:12]", "prompt editing", "[:a dog:12]"),
        ("[a:[b:c:.25]:10]", "prompt editing", "[b:c:.25]"),
        ("a [cat|dog|cow]", "alternating words", "[cat|dog|cow]"),
        ("a cat AND a dog", "a composition of prompts", "AND"),
        ("a {red|blue} cat", "a choice of words", "{red|blue}"),
        ("a __colour__ cat", "a wildcard", "__colour__"),
        ('("a cat", "a dog").blend(0.5, 0.5)', "InvokeAI", ").blend("),
        ("a (cat)++ on a mat", "InvokeAI", ")++"),
        ("{{masterpiece}}, a cat", "NovelAI", "{{masterpiece}}"),
        ("hot dog::1.5 food::-1", "Midjourney", "::1.5"),
        ("a cat --ar 16:9 --v 5", "Midjourney", "--ar 16:9"),
        ("a cat\nSteps: 20, Sampler: Euler a", "AUTOMATIC1111", "Steps: 20, Sampler: Euler"),
        ("a cat <lora:ink:1", "a LoRA without its >", "<lora:ink:1"),
        ("a <lyco:ink <lora:oil:1>", "a LoRA without its >", "<lyco:ink"),
    ],
)
def test_syntax_of_other_tools_is_told(prompt: str, kind: str, example: str) -> None:
    (told,) = read_prompt(prompt).warnings
    assert kind in told
    assert repr(example) in told
    assert "read as text" in told


@pytest.mark.parametrize(
    "prompt",
    [
        "a cat",
        "[less] ((more)) (exact:1.3) [(a:1.2)]",
        "sand and LAND, BRAND",
        r"\[cat:dog:0.5\]",
        'a sign, "SALT AND PEPPER"',
        "def __init__(self) in __init__.py",
        "C++ (and C)-like code, std::vector --- a book",
        "{hello}",
        "a face :{ and a |",
        "snake_case__name",
        "<lora:ink:1>",
        "[a cat, 10:30 pm]",
    ],
)
def test_plain_words_are_not(prompt: str) -> None:
    assert read_prompt(prompt).warnings == ()


@pytest.mark.parametrize("piece", ["[", "[a", "[:1", "{", "{|", "__", "__a", "<lora:", ").blend"])
def test_long_prompts_are_read_in_one_pass(piece: str) -> None:
    foreign_syntax_warnings(piece * 100_000)


def test_underscores_that_end_no_wildcard_are_read_at_once() -> None:
    assert foreign_syntax_warnings(".__a" * 50_000) == ()
