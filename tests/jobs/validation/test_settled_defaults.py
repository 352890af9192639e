"""Which value a request gets for what it leaves out, and what is said of values that fail."""

from pathlib import Path
from typing import Any

import pytest

from jobs.connection import connect
from jobs.errors import InvalidRequest
from jobs.model_defaults import Defaults, LoraFacts, ModelDefaults
from jobs.parameters.comparison import MAX_VALUES
from jobs.parameters.types import MAX_PROMPT
from jobs.prompts.prompt_files import PromptFiles
from jobs.served import Served
from jobs.validation.defaults_warnings import defaults_warnings
from jobs.validation.hires_rules import hires_warnings
from jobs.validation.request import Request, parse_request
from jobs.validation.settled_defaults import InstalledDefaults
from jobs.validation.stored_request import read_stored
from jobs.worker_facts import ModelFacts, WorkerFacts
from jobs.workers import Workers
from stable_diffusion.prompt.grammar import read_prompt

LCM = LoraFacts(
    name="speed/lcm",
    aliases=("lcm",),
    defaults=Defaults(
        steps=4, scale=1, sampler="lcm", max_steps=12, max_scale=2, samplers=("lcm",)
    ),
)
PLAIN = ModelDefaults(
    steps=30,
    sampler="k_dpmpp_2m",
    scheduler="karras",
    presets={"fast": Defaults(loras=("lcm:0.8",), vae="taesd"), "quality": Defaults(steps=60)},
)
LIGHTNING = ModelDefaults(
    steps=4, scale=1, sampler="k_euler", scheduler="trailing", max_steps=8, max_scale=2
)
INSTALLED = InstalledDefaults.of(
    Served(
        types=("optimized",),
        models=("plain", "lightning", "unknown"),
        alive=True,
        model_facts=(
            ModelFacts(name="plain", defaults=PLAIN),
            ModelFacts(name="lightning", defaults=LIGHTNING),
            ModelFacts(name="unknown"),
        ),
        lora_facts=(LCM,),
    )
)
A1111 = {"ddim_steps": 50, "scale": 7.0, "sampler": "k_euler"}
"""What a dialect fills in."""
OF_LCM = {"ddim_steps": 4, "scale": 1.0, "sampler": "lcm"}
OF_PLAIN = {"ddim_steps": 30, "sampler": "k_dpmpp_2m", "scheduler": "karras"}


def filled(body: dict[str, Any], model: str = "plain", **usual: Any) -> dict[str, Any]:
    """What was filled in, or changed."""
    found = INSTALLED.fill(body, model, usual)
    assert not found.faults
    return {name: value for name, value in found.body.items() if body.get(name) != value}


def read(body: dict[str, Any], model: str = "plain") -> Request:
    found = INSTALLED.fill(body, model)
    return parse_request("txt2img", found.body, loras=found.loras)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, OF_PLAIN),
        ({"ddim_steps": None}, OF_PLAIN),
        ({"ddim_steps": 7}, {**OF_PLAIN, "ddim_steps": 7}),
        ({"vae": None}, OF_PLAIN),
        ({"preset": "quality"}, {**OF_PLAIN, "ddim_steps": 60}),
        ({"preset": "quality", "ddim_steps": 7}, {**OF_PLAIN, "ddim_steps": 7}),
        ({"prompt": "a <lora:lcm:1> cat"}, OF_LCM),
        ({"prompt": "a <lora:speed/lcm:1> cat", "scale": 2}, {**OF_LCM, "scale": 2}),
        (
            {"prompt": "a cat", "preset": "fast"},
            {**OF_LCM, "vae": "taesd"},
        ),
        # null is the model's own
        (
            {"prompt": "a cat", "preset": "fast", "vae": None},
            {**OF_LCM, "vae": None},
        ),
        # a request that already has what the preset adds is left as it is
        (
            {"prompt": "a cat <lora:speed/lcm:0.5>", "preset": "fast"},
            {**OF_LCM, "vae": "taesd"},
        ),
        # a scheduler belongs to its sampler
        ({"sampler": "ddim"}, {"ddim_steps": 30}),
        ({"plms": True}, {"ddim_steps": 30}),
        ({"vary": {"sampler": ["ddim", "lcm"]}}, {"ddim_steps": 30}),
        ({"sampler": "DPM++ 2M"}, {"ddim_steps": 30, "scheduler": "karras"}),
    ],
)
def test_the_body_precedes_the_preset_the_loras_and_the_model(
    body: dict[str, Any], expected: dict[str, Any]
) -> None:
    changed = {name: value for name, value in expected.items() if body.get(name) != value}
    assert filled(body) == changed


def test_a_dialects_defaults_come_last() -> None:
    assert filled({}, "plain", **A1111) == {**OF_PLAIN, "scale": 7.0}
    assert INSTALLED.fill({"scale": 3}, "unknown", A1111).body == {**A1111, "scale": 3}
    assert INSTALLED.fill({}, "", A1111).body == A1111


def test_every_text_that_is_compared_gets_the_loras_of_the_preset() -> None:
    request = read({"preset": "fast", "vary": {"prompt": ["a cat", "a dog <lora:other:1>"]}})
    expected = ["a cat <lora:lcm:0.8>", "a dog <lora:other:1> <lora:lcm:0.8>"]
    assert [each.prompt for each in request.combinations()] == expected


def test_a_text_that_names_the_lora_of_the_preset_does_not_get_it_again(tmp_path: Path) -> None:
    texts = ["a cat <lora:speed/lcm:0.5>", "a dog"]
    expected = ("a cat <lora:speed/lcm:0.5>", "a dog <lora:lcm:0.8>")
    body = {"preset": "fast", "prompt": texts[0], "vary": {"prompt": texts}}
    assert tuple(each.prompt for each in read(body).combinations()) == expected
    (tmp_path / "a.txt").write_text("\n".join(texts))
    loras = INSTALLED.fill(body, "plain").loras
    found = PromptFiles(tmp_path).read("a.txt", loras=loras)
    assert tuple(prompt.text for prompt in found) == expected


def test_a_comment_does_not_hide_the_lora_of_the_preset() -> None:
    body = {"preset": "fast", "prompt": "a cat # red", "prompt_grammar": "a1111"}
    prompt = read(body).prompt
    assert [tag.name for tag in read_prompt(prompt, "a1111").loras] == ["lcm"]


def test_the_loras_of_a_preset_count_neither_for_the_length_of_a_prompt_nor_as_named() -> None:
    longest = "a" * 20_000
    request = read({"preset": "fast", "prompt": longest})
    assert request.prompt == f"{longest} <lora:lcm:0.8>"
    assert read_stored("txt2img", request.stored()) == request
    body = {"preset": "fast", "prompt": "a cat", "hires_scale": 2, "hires_prompt": "a dog"}
    added = INSTALLED.fill(body, "plain").loras.tags
    assert hires_warnings(read(body), added) == ()
    named = read({**body, "prompt": "a cat <lora:lcm:0.5>"})
    assert [each.partition(":")[0] for each in hires_warnings(named, added)] == ["hires_prompt"]
    with pytest.raises(InvalidRequest):
        read({"preset": "fast", "prompt": longest + "a"})


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("lightning", "no presets"),
        ("", "no presets"),
    ],
)
def test_a_preset_that_the_model_does_not_have_is_a_fault_that_says_what_to_do(
    model: str, words: str
) -> None:
    (fault,) = INSTALLED.fill({"preset": "fast"}, model).faults
    assert (fault.field, fault.code, fault.value) == ("preset", "unknown_preset", "fast")
    assert words in fault.problem
    assert "[preset.fast]" in fault.expected and "LoRA" in fault.expected


@pytest.mark.parametrize("body", [{"preset": 3}, {"preset": ["fast"]}, {"prompt": 5, "vary": []}])
def test_a_faulty_body_is_filled_all_the_same(body: dict[str, Any]) -> None:
    assert INSTALLED.fill(body, "plain").body["ddim_steps"] == 30


@pytest.mark.parametrize(
    ("model", "body", "said"),
    [
        ("plain", {"prompt": "a cat", "preset": "fast"}, ()),
        ("lightning", {"prompt": "a cat"}, ()),
        (
            "lightning",
            {"prompt": "a cat", "ddim_steps": 50, "scale": 7.5, "sampler": "ddim"},
            (
                "ddim_steps: 50 is too much for lightning, which is made for at most 8, best 4",
                "scale: 7.5 is too much for lightning, which is made for at most 2, best 1",
            ),
        ),
        (
            "plain",
            {"prompt": "a cat <lora:lcm:1>", "scale": 7.5, "sampler": "k_euler"},
            (
                "scale: 7.5 is too much for speed/lcm, which is made for at most 2, best 1",
                "sampler: speed/lcm is made for LCM, not for Euler",
            ),
        ),
    ],
)
def test_what_cannot_work_is_done_and_said(
    model: str, body: dict[str, Any], said: tuple[str, ...]
) -> None:
    found = INSTALLED.fill(body, model)
    request = read({"seed": 1, **body}, model)
    assert defaults_warnings(request, found.sources) == said


def test_values_of_another_version_are_left_out() -> None:
    facts = ModelFacts(name="new", defaults=ModelDefaults(sampler="later", scheduler="later"))
    later = InstalledDefaults.of(Served(types=(), models=(), alive=True, model_facts=(facts,)))
    assert later.fill({"prompt": "a cat"}, "new").body == {"prompt": "a cat"}


def test_of_workers_that_disagree_the_first_counts(redis_url: str) -> None:
    workers = Workers(connect(redis_url))
    for worker_id, steps in (("b", 9), ("a", 5), ("c", None)):
        known = None if steps is None else ModelDefaults(steps=steps)
        loras = () if steps is None else (LoraFacts(name="l", defaults=Defaults(steps=steps)),)
        workers.announce(
            WorkerFacts(
                worker_id=worker_id,
                types=("optimized",),
                models=("m",),
                default_model="m",
                device="cpu",
                slots=1,
                model_facts=(ModelFacts(name="m", defaults=known, hash="" if steps else "abc"),),
                lora_facts=loras,
            ),
            ttl_seconds=60,
        )
    served = workers.served()
    (model,), (lora,) = served.model_facts, served.lora_facts
    assert model.defaults and (model.defaults.steps, model.hash) == (5, "abc")
    assert lora.defaults.steps == 5


@pytest.mark.parametrize(
    "body",
    [
        {"prompt": "<lora:lcm:1>" + "a" * MAX_PROMPT},
        {"prompt": "a", "vary": {"prompt": ["a"] * MAX_VALUES + ["<lora:lcm:1>"]}},
    ],
    ids=["too long", "too many"],
)
def test_prompts_that_will_be_refused_are_not_read(body: dict[str, Any]) -> None:
    assert INSTALLED.fill(body, "unknown").sources == INSTALLED.fill({}, "unknown").sources
