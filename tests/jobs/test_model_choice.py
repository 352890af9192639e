from typing import Any

import pytest

from jobs.errors import InvalidRequest
from jobs.model_choice import InstalledModels, ModelChoice
from jobs.request import parse_request

TEMPLATE = {"sd14": "model.ckpt", "sd21": "model2.ckpt", "sd15": "model15.ckpt"}


def choose(ckpt: str | dict[str, str], names: list[str]) -> ModelChoice:
    return InstalledModels(default="tiny", names=names).choose(ckpt)


def test_default_is_the_configured_model() -> None:
    assert choose("default", ["tiny", "sd15"]).name == "tiny"


def test_a_readme_spelling_finds_the_installed_model() -> None:
    assert choose("sd1.5", ["tiny", "sd15"]).name == "sd15"


def test_the_templates_object_takes_the_first_that_is_installed() -> None:
    choice = choose(TEMPLATE, ["tiny", "sd15", "sd21"])
    assert (choice.name, choice.warnings) == ("sd21", ())


def test_the_templates_object_finds_a_model_by_its_file() -> None:
    assert choose(TEMPLATE, ["tiny", "model15"]).name == "model15"


def test_the_templates_object_falls_back_to_the_default_and_says_so() -> None:
    choice = choose(TEMPLATE, ["tiny"])
    assert choice.name == "tiny"
    assert "sd14, sd21, sd15" in choice.warnings[0]


@pytest.mark.parametrize("ckpt", ["sd99", "../model.ckpt", "/x.ckpt", {"sd14": "../../x"}])
def test_what_is_not_installed_is_refused_with_what_is(ckpt: str | dict[str, str]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        choose(ckpt, ["tiny", "sd15"])
    (fault,) = caught.value.faults
    assert fault.code == "unknown_model"
    assert fault.expected == "one of: default, sd15, tiny"


def test_before_any_worker_has_announced_itself_a_name_is_accepted_but_no_path() -> None:
    assert choose("dreamy", []).name == "dreamy"
    with pytest.raises(InvalidRequest):
        choose("../dreamy", [])


@pytest.mark.parametrize(
    ("ckpt", "size"),
    [("default", 768), ("sd2.1v", 768), ("sd15", 512), ("dreamy", 512), ({"sd21v": "x"}, 768)],
)
def test_a_native_size_is_that_of_the_model_meant(ckpt: str | dict[str, str], size: int) -> None:
    models = InstalledModels(
        default="sd21v", names=["sd15", "sd21v"], native_sizes={"sd15": 512, "sd21v": 768}
    )
    assert models.native_size(ckpt) == size


HASH = "6ce0161689"


@pytest.mark.parametrize(
    ("ckpt", "name"),
    [
        (f"sd15 [{HASH}]", "sd15"),
        (f"sd1.5.ckpt [{HASH.upper()}]", "sd15"),
        (f"v1-5-pruned-emaonly.safetensors [{HASH}b3853acaa043166e727224f7]", "sd15"),
        ("sd15[6ce01616]", "sd15"),
        (f"ink [{HASH}]", "style/ink"),
        ("odd [abcdef]", "odd [abcdef]"),
    ],
)
def test_a_model_may_be_named_with_its_hash(ckpt: str, name: str) -> None:
    names = ["sd15", "style/ink", "odd [abcdef]"]
    models = InstalledModels(names=names, hashes=dict.fromkeys(names, HASH))
    assert models.choose(ckpt) == ModelChoice(name)


def test_a_wrong_hash_is_told_and_one_that_cannot_be_compared_is_said() -> None:
    models = InstalledModels(names=["sd15", "new"], hashes={"sd15": HASH, "new": ""})
    with pytest.raises(InvalidRequest) as caught:
        models.choose("sd15 [0123456789]")
    (fault,) = caught.value.faults
    assert (fault.field, fault.code) == ("ckpt", "wrong_model_hash")
    assert fault.expected == f"sd15 [{HASH}], or sd15 without a hash"
    assert "8 digits" in models.choose("sd15 [7460a6fa]").warnings[0]
    assert "not known here yet" in models.choose("new [0123456789]").warnings[0]
    with pytest.raises(InvalidRequest, match="no installed model"):
        models.choose(f"sd99 [{HASH}]")


def test_a_refiner_is_chosen_as_a_model_is() -> None:
    models = InstalledModels(default="tiny", names=("tiny", "sdxl-refiner"))

    def parsed(name: str) -> Any:
        body = {"prompt": "a", "seed": 1, "refiner": {"ckpt": name}}
        request = parse_request("txt2img", body, models=models)
        return request.settled(model="tiny", seed=1, refiner=models.name_of(name)).refiner

    assert parsed("sdxl-refiner.safetensors") == {"ckpt": "sdxl-refiner", "switch_at": 0.8}
    with pytest.raises(InvalidRequest) as caught:
        parsed("sd99")
    (fault,) = caught.value.faults
    assert (fault.field, fault.code, fault.value) == ("refiner", "unknown_model", "sd99")
    assert "sdxl-refiner" in fault.expected
