"""The page about OpenAI's API names every field, and the steps of every quality."""

from api.dialects.openai.request_models import EditOptions
from api.dialects.openai.translation import STEPS_OF_QUALITY
from tests.docs.pages import ROOT, code_spans

PAGE = ROOT / "docs" / "openai.md"


def test_the_page_names_every_field() -> None:
    assert {*EditOptions.model_fields, "image", "images", "mask", "markup"} <= {*code_spans(PAGE)}


def test_the_page_has_the_steps_of_every_quality() -> None:
    row = next(line for line in PAGE.read_text().splitlines() if line.startswith("| `quality` |"))
    left = dict(STEPS_OF_QUALITY)
    for group in row.partition("sampling steps:")[2].rstrip(" |").split(";"):
        *names, steps = group.replace("`", "").replace(",", "").split()
        assert all(left.pop(name) == int(steps) for name in names)
    assert not left
