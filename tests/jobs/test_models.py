import pytest

from jobs.errors import InvalidRequest
from jobs.models import choose_model

TEMPLATE = {"sd14": "model.ckpt", "sd21": "model2.ckpt", "sd15": "model15.ckpt"}


def test_default_is_the_configured_model() -> None:
    assert choose_model("default", default="tiny", installed=["tiny", "sd15"]).name == "tiny"


def test_a_readme_spelling_finds_the_installed_model() -> None:
    assert choose_model("sd1.5", default="tiny", installed=["tiny", "sd15"]).name == "sd15"


def test_the_templates_object_takes_the_first_that_is_installed() -> None:
    choice = choose_model(TEMPLATE, default="tiny", installed=["tiny", "sd15", "sd21"])
    assert (choice.name, choice.warnings) == ("sd21", ())


def test_the_templates_object_finds_a_model_by_its_file() -> None:
    assert choose_model(TEMPLATE, default="tiny", installed=["tiny", "model15"]).name == "model15"


def test_the_templates_object_falls_back_to_the_default_and_says_so() -> None:
    choice = choose_model(TEMPLATE, default="tiny", installed=["tiny"])
    assert choice.name == "tiny"
    assert "sd14, sd21, sd15" in choice.warnings[0]


@pytest.mark.parametrize("ckpt", ["sd99", "../model.ckpt", "/x.ckpt", {"sd14": "../../x"}])
def test_what_is_not_installed_is_refused_with_what_is(ckpt: str | dict[str, str]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        choose_model(ckpt, default="tiny", installed=["tiny", "sd15"])
    (fault,) = caught.value.faults
    assert fault.code == "unknown_model"
    assert fault.expected == "one of: default, sd15, tiny"


def test_before_any_worker_has_told_a_name_is_let_through_but_no_path() -> None:
    assert choose_model("dreamy", default="tiny", installed=[]).name == "dreamy"
    with pytest.raises(InvalidRequest):
        choose_model("../dreamy", default="tiny", installed=[])
