"""The generated files are what the code would generate."""

import pytest

from docs.generate import generated, with_tables
from docs.pictures import ATTENTION, FOLDER
from tests.docs.pages import PARAMETERS


def test_the_generated_files_are_up_to_date() -> None:
    outdated = [path.name for path, text in generated().items() if path.read_text() != text]

    assert outdated == [], "run `make docs`"


def test_a_page_without_the_markers_of_a_table_is_an_error() -> None:
    with pytest.raises(ValueError, match="one table 'samplers' in the page, found 0"):
        with_tables("no markers", {"samplers": str})


def test_a_table_replaces_what_was_between_its_markers() -> None:
    page = "before\n<!-- t -->\nold\n<!-- /t -->\nafter\n"

    assert with_tables(page, {"t": lambda: "new"}) == page.replace("old", "new")


def test_the_attention_examples_show_each_prompt_beside_its_image() -> None:
    text = PARAMETERS.read_text()
    for name, prompt in ATTENTION.items():
        assert f"](../readme_examples/{name}.png)" in text
        assert f"`{prompt}`" in text
        assert (FOLDER / f"{name}.png").is_file(), "run `make pictures`"
