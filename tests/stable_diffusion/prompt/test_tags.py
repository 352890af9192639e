import pytest

from stable_diffusion.errors import PromptError
from stable_diffusion.prompt.emphasis import EmphasisRun
from stable_diffusion.prompt.grammar import (
    LoraTag,
    ParsedPrompt,
    PromptPart,
    loras_of,
    read_prompt,
    tokens_of,
)


@pytest.mark.parametrize(
    ("prompt", "loras"),
    [
        ("a cat", ()),
        ("a cat <lora:ink:0.8>", (LoraTag("ink", 0.8),)),
        ("<lora:ink> a cat", (LoraTag("ink", 1.0),)),
        ("<LoRA: my ink v1.5 : -0.5 >", (LoraTag("my ink v1.5", -0.5),)),
        ("<lyco:ink:0.8>", (LoraTag("ink", 0.8),)),
        ("<lora:style/ink:1:0.5>", (LoraTag("style/ink", 1.0, 0.5),)),
        ("<lora:ink:1:1>", (LoraTag("ink", 1.0),)),
        ("<lora:ink:te=0.25:unet=-1>", (LoraTag("ink", 0.25, -1.0),)),
        ("<lora:ink:unet = 0.5>", (LoraTag("ink", 1.0, 0.5),)),
        ("<lora:ink:0.5:2:te=1:dyn=8>", (LoraTag("ink", 1.0, 2.0),)),
        ("<lora:ink:0.5:2:8>", (LoraTag("ink", 0.5, 2.0),)),
        ("<lora:ink:1:0.5> <lora:ink:-0.5>", (LoraTag("ink", 0.5, 0.0),)),
        ("<lora:b:1> and <lora:a:0.25> <lora:b:0.5>", (LoraTag("a", 0.25), LoraTag("b", 1.5))),
        (r"\<lora:ink:1>", ()),
        ("1 < 2, <3, a <b", ()),
    ],
)
def test_a_prompt_names_its_loras_with_their_weights(
    prompt: str, loras: tuple[LoraTag, ...]
) -> None:
    assert loras_of(prompt) == loras


def test_a_lora_is_no_part_of_what_is_said() -> None:
    with_lora = read_prompt("(a cat:1.2)<lora:ink:0.8> on a mat:0.4 a cat:0.6 a dog <lora:oil>")
    assert [(part.text.split(), part.weight) for part in with_lora.parts] == [
        (["(a", "cat:1.2)", "on", "a", "mat"], 0.4),
        (["a", "cat"], 0.6),
        (["a", "dog"], 1.0),
    ]
    assert read_prompt("<lora:ink:0.8>").parts == (
        PromptPart("", 1.0, 1.0, (EmphasisRun("", 1.0),)),
    )


def test_a_fault_behind_a_lora_is_found_where_it_is() -> None:
    prompt = "<lora:ink:0.8> (cat:1.2.3)"
    with pytest.raises(PromptError) as refusal:
        read_prompt(prompt)
    assert refusal.value.position == prompt.index("1.2.3")


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        ("a <lora:ink:strong>", "'strong' of the LoRA 'ink' at position 2 is not a number"),
        ("<lora:ink:nan>", "not a number"),
        ("<lora:ink:99>", "from -10 to 10"),
        ("<lora::1>", "has no name"),
        ("<lora:ink:1:soft>", "'soft' of the LoRA 'ink'"),
        ("<lora:ink:te=x>", "'x' of the LoRA 'ink'"),
        ("<lora:ink:unet=11>", "'11' of the LoRA 'ink'"),
        ("a cat <hypernet:ink:1>", "position 6 is no tag that is known"),
    ],
)
def test_a_tag_that_cannot_be_read_is_refused(prompt: str, says: str) -> None:
    with pytest.raises(PromptError, match=says):
        read_prompt(prompt)


def test_an_embedding_in_angle_brackets_is_named() -> None:
    assert tokens_of("a <cat-toy> in (<Easy.Negative>:1.2) <lora:ink:1> <3 \\<no>") == (
        "cat-toy",
        "Easy.Negative",
    )


@pytest.mark.parametrize(
    ("prompt", "named"),
    [
        ("a cat, embedding:EasyNegative, sharp", ("EasyNegative",)),
        ("(embedding:bad-hands:1.2) embedding:by_oil.pt.", ("bad-hands", "by_oil")),
        ("myembedding:ink embedding: ink", ()),
    ],
)
def test_an_embedding_after_its_word_is_named(prompt: str, named: tuple[str, ...]) -> None:
    assert tokens_of(prompt) == named


def test_a_parsed_prompt_holds_all_that_was_written() -> None:
    text = "a <toy> (cat:1.5):0.25 dog <lora:ink:0.5>:0.75"
    assert read_prompt(text) == ParsedPrompt(
        text=text,
        parts=(
            PromptPart(
                "a <toy> (cat:1.5)",
                0.25,
                0.25,
                (EmphasisRun("a <toy> ", 1.0), EmphasisRun("cat", 1.5)),
            ),
            PromptPart("dog", 0.75, 0.75, (EmphasisRun("dog", 1.0),)),
        ),
        loras=(LoraTag("ink", 0.5),),
        embeddings=("toy",),
        warnings=(
            r"is a blend of 'a <toy> (cat:1.5)' 25.0%, 'dog' 75.0%; for a plain colon write \:",
        ),
    )


def test_a_parsed_prompt_is_not_parsed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = read_prompt("a cat:25 a dog:75")
    monkeypatch.setattr("stable_diffusion.prompt.grammar.parse_blend", None)
    assert read_prompt(parsed) is parsed


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        ("a <lora:ink:1:1:8>", ["has 8 in '<lora:ink:1:1:8>', which has no effect"]),
        ("a <lora:ink:dyn=8>", ["has dyn=8 in '<lora:ink:dyn=8>', which has no effect"]),
        (
            "a <lyco:ink:1:lbw=OUTD>",
            ["has lbw=OUTD in '<lyco:ink:1:lbw=OUTD>', which has no effect"],
        ),
        ("a <lora:ink:te=1:unet=0.5>", []),
        ("a <lora:ink:1", ["has a LoRA without its >, '<lora:ink:1', that was read as text"]),
    ],
)
def test_what_of_a_tag_has_no_effect_is_told(prompt: str, says: list[str]) -> None:
    assert list(read_prompt(prompt).warnings) == says
