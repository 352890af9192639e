"""Wildcards are drawn by the seed, from files that no prompt can leave."""

from pathlib import Path
from typing import Any

import pytest

from jobs.errors import Fault, InvalidRequest, WildcardError
from jobs.limits import Limits
from jobs.prompts.parts import drawn_parts, parts_of
from jobs.prompts.prompt_files import PromptFiles
from jobs.prompts.wildcard_files import WildcardFiles
from jobs.prompts.wildcards import MAX_DEPTH, Wildcards
from jobs.records.stored_prompts import drawn_prompts
from jobs.validation.request import TextToImage, parse_request

FILES = {
    "colour": "red\n# green\n\n  blue\n",
    "animals/cats": "a __colour__ cat\n0::never\n{big|small} cat",
    "empty": "# nothing\n\n",
    "only_zero": "0::never",
    "binary": b"\xff\xfe",
    "torn": "fine\n{a|b",
    "ring-a": "__ring-b__",
    "ring-b": "word\n__ring-a__",
    "lost": "__nowhere__",
    "many": "__many2__, __many2__, __many2__, __many2__, __many2__, __many2__, __many2__",
    "many2": "x" * 5000,
    **{f"deep{n}": f"__deep{n + 1}__" for n in range(MAX_DEPTH)},
    f"deep{MAX_DEPTH}": "end",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "wildcards"
    for name, content in FILES.items():
        path = folder / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    (tmp_path / "secret.txt").write_text("the secret")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    (folder / ".hidden.txt").write_text("hidden")
    return folder


def drawn(folder: Path | None, text: str, seeds: int = 40) -> set[str]:
    wildcards = Wildcards(WildcardFiles(folder))
    return {wildcards.expand(text, seed, field="prompt") for seed in range(seeds)}


@pytest.mark.parametrize(
    ("text", "possible"),
    [
        ("a cat", {"a cat"}),
        ("a __colour__ cat", {"a red cat", "a blue cat"}),
        ("__animals/cats__", {"a red cat", "a blue cat", "big cat", "small cat"}),
        ("a {red|blue| } cat", {"a red cat", "a blue cat", "a  cat"}),
        ("{0::red|2.5::blue} {one}", {"blue one"}),
        ("{2$$a|b|c}", {"a, b", "b, a", "a, c", "c, a", "b, c", "c, b"}),
        ("{2$$0::a|b|c}", {"b, c", "c, b"}),
        ("{a {b|c}|__colour__}", {"a b", "a c", "red", "blue"}),
        (r"\{a|b\} {x\|y} \\{c} \(d\)", {r"{a|b} x|y \\c \(d\)"}),
        ("[cat|dog] a_b __ ____ __-x__", {"[cat|dog] a_b __ ____ __-x__"}),
        ("{}|", {"|"}),
        ("__deep1__", {"end"}),
    ],
)
def test_what_can_be_drawn(folder: Path, text: str, possible: set[str]) -> None:
    assert drawn(folder, text) == possible


def test_the_same_seed_draws_the_same_on_every_machine(folder: Path) -> None:
    wildcards = Wildcards(WildcardFiles(folder))
    text = "{2$$a|b|c|d} __animals/cats__ {0.2::x|y}"
    # from another machine; the negative prompt is drawn by itself
    assert wildcards.expand(text, 42, field="prompt") == "c, a a red cat y"
    assert wildcards.expand(text, 2**53 - 1, field="prompt") == "a, b a red cat x"
    assert wildcards.expand(text, 42, field="negative_prompt") == "a, c small cat y"


def test_weights_are_shares(folder: Path) -> None:
    wildcards = Wildcards(WildcardFiles(folder))
    texts = [wildcards.expand("{3::a|b}", seed, field="prompt") for seed in range(1000)]
    assert 700 < texts.count("a") < 800


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("__colours__", "unknown_wildcard", "did you mean colour?"),
        ("{x|__Colour__}", "unknown_wildcard", "one of: animals/cats, binary, colour"),
        ("__lost__", "unknown_wildcard", "nowhere"),
        ("__link__", "unknown_wildcard", "one of"),
        ("__empty__", "empty_wildcard", "empty, which has no entry"),
        ("__only_zero__", "empty_wildcard", "has no entry"),
        ("__binary__", "not_utf8", "is not UTF-8"),
        ("__torn__", "bad_wildcards", "line 2 has a {"),
        ("__ring-b__", "endless", "ring-b → ring-a → ring-b"),
        ("__deep0__", "too_deep", "8 files in a row at most"),
        ("__many__", "too_long", "up to 20000 characters"),
        ("{a|b", "bad_wildcards", "a { that no } closes"),
        ("a}", "bad_wildcards", "a } that no { opens"),
        ("{3$$a|b}", "bad_wildcards", "a choice of 3 among 2"),
        ("{0::a}", "bad_wildcards", "a choice of 1 among 0"),
        ("{" * 17 + "a" + "}" * 17, "bad_wildcards", "more than 16 braces"),
    ],
)
def test_what_cannot_be_drawn(folder: Path, text: str, code: str, said: str) -> None:
    with pytest.raises(WildcardError) as caught:
        drawn(folder, text, seeds=1)
    assert caught.value.code == code
    assert said in f"{caught.value.problem}; {caught.value.expected}"


@pytest.mark.parametrize("text", ["__../secret__", "__/etc/passwd__", "__.hidden__", "__a/../b__"])
def test_what_is_no_name_stays_text(folder: Path, text: str) -> None:
    assert drawn(folder, text, seeds=1) == {text}


def test_the_names_are_those_of_text_files_inside_the_folder(folder: Path) -> None:
    names = WildcardFiles(folder).names()
    assert "animals/cats" in names
    assert not {"link", "secret", ".hidden", "hidden"} & set(names)
    assert WildcardFiles(None).names() == WildcardFiles(folder / "missing").names() == ()


def faults(folder: Path, **body: Any) -> tuple[Fault, ...]:
    with pytest.raises(InvalidRequest) as caught:
        parse_request(
            "txt2img",
            {"wildcards": True, **body},
            limits=Limits(max_images=4),
            wildcards=WildcardFiles(folder),
            prompt_files=PromptFiles(folder),
        )
    return caught.value.faults


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"prompt": "__no__", "negative_prompt": "{"}, ["prompt", "negative_prompt"]),
        ({"from-file": "lost.txt"}, ["from-file"]),
        ({"prompt": "a", "fixed_code": True}, ["fixed_code"]),
        ({"prompt": "{(a:1.2.3)|(b:1.2.3)}"}, ["prompt"]),
        ({"prompt": "a", "negative_prompt": "<lora:{a|b}:1>"}, ["negative_prompt"]),
        ({"prompt": "{a|b}", "n_iter": 5}, ["n_iter"]),
        ({"vary": {"prompt": ["fine", "__no__"]}}, ["vary.prompt[1]"]),
        ({"prompt": "a", "hires_scale": 1.5, "hires_prompt": "{"}, ["hires_prompt"]),
        (
            {"prompt": "a", "hires_scale": 1.5, "hires_prompt": "{(a:1.2.3)|(b:1.2.3)}"},
            ["hires_prompt"],
        ),
    ],
)
def test_the_faults_of_a_request(folder: Path, body: dict[str, Any], fields: list[str]) -> None:
    assert [fault.field for fault in faults(folder, **body)] == fields


def test_each_picture_has_the_text_that_its_seed_draws(folder: Path) -> None:
    wildcards = Wildcards(WildcardFiles(folder))
    body = {"prompt": "a __colour__ cat", "negative_prompt": "{fog|rain}", "wildcards": True}
    request = parse_request(
        "txt2img", {**body, "n_samples": 4, "n_iter": 2, "seed": 7}, wildcards=WildcardFiles(folder)
    )
    parts = drawn_parts(request, (), wildcards)
    assert [part.seed for part in parts] == [7, 8, 9, 10, 11, 12, 13, 14]
    assert {part.image_count for part in parts} == {1}
    for part in parts:
        alone = parse_request(
            "txt2img", {**body, "seed": part.seed}, wildcards=WildcardFiles(folder)
        )
        (same,) = drawn_parts(alone, (), wildcards)
        assert (same.prompt, same.negative_prompt) == (part.prompt, part.negative_prompt)
    assert (
        len({part.prompt for part in parts}) == len({part.negative_prompt for part in parts}) == 2
    )


def test_the_second_pass_repeats_what_the_first_has_drawn(folder: Path) -> None:
    body = {
        "prompt": "a {big|small} __colour__ cat, {1|2|3|4}",
        "hires_prompt": "{1|2|3|4}: sharp __colour__ fur and __colour__ eyes, {a|b|c|d}",
        "negative_prompt": "{fog|rain}",
        "hires_negative_prompt": "more {fog|rain}",
        "hires_scale": 1.5,
        "wildcards": True,
        "n_iter": 16,
        "seed": 7,
    }
    request = parse_request("txt2img", body, wildcards=WildcardFiles(folder))
    parts = drawn_parts(request, (), Wildcards(WildcardFiles(folder)))
    later = set[str]()
    for part in parts:
        assert isinstance(part, TextToImage)
        number, colour = part.prompt[-1], part.prompt.split()[2]
        assert part.hires_prompt.startswith(f"{number}: sharp {colour} fur and ")
        assert part.hires_negative_prompt == f"more {part.negative_prompt}"
        later.add(part.hires_prompt.partition("fur")[2])
    assert len(later) > 4
    stored = drawn_prompts(request, parts)
    assert [*stored] == ["prompts", "negative_prompts", "hires_prompts", "hires_negative_prompts"]


def test_variations_of_one_picture_have_one_text_whenever_their_seed_is_drawn(folder: Path) -> None:
    wildcards = Wildcards(WildcardFiles(folder))
    body = {"prompt": "a {1|2|3|4|5|6|7|8}", "wildcards": True, "n_iter": 6, "seed": 7}
    request = parse_request("txt2img", {**body, "variation_strength": 0.3})
    settled = request.settled(model="tiny", seed=7, variation_seed=5)
    for each in (request, settled):
        parts = drawn_parts(each, (), wildcards)
        assert {(part.seed, part.prompt) for part in parts} == {(7, parts[0].prompt)}
    assert [part.variation_seed for part in parts_of(settled)] == [5, 6, 7, 8, 9, 10]


def test_every_line_of_a_file_is_drawn(folder: Path) -> None:
    request = parse_request(
        "txt2img",
        {"from-file": "lines.txt", "n_iter": 2, "wildcards": True, "seed": 1},
        prompt_files=_with(folder, "lines.txt", "one {a}\ntwo __colour__"),
        wildcards=WildcardFiles(folder),
    )
    parts = drawn_parts(request, ("one {a}", "two __colour__"), Wildcards(WildcardFiles(folder)))
    assert [part.prompt.split()[0] for part in parts] == ["one", "one", "two", "two"]
    assert [part.seed for part in parts] == [1, 2, 3, 4] == [p.seed for p in parts_of(request, 2)]


def _with(folder: Path, name: str, content: str) -> PromptFiles:
    (folder / name).write_text(content)
    return PromptFiles(folder)
