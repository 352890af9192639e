"""What is written from the code is what the code says."""

from docs.generate import ENV_EXAMPLE, README, readme, requests, settings
from docs.pictures import ATTENTION, FOLDER


def test_the_tables_of_the_readme_are_up_to_date() -> None:
    assert readme(README.read_text()) == README.read_text(), "run `make docs`"


def test_the_list_of_settings_is_up_to_date() -> None:
    assert ENV_EXAMPLE.read_text() == settings(), "run `make docs`"


def test_the_requests_for_postman_and_for_editors_are_up_to_date() -> None:
    for path, text in requests().items():
        assert path.read_text() == text, "run `make docs`"


def test_the_readme_shows_each_prompt_beside_the_picture_drawn_from_it() -> None:
    text = README.read_text()
    for name, prompt in ATTENTION.items():
        assert f"](readme_examples/{name}.png)" in text
        assert f"`{prompt}`" in text
        assert (FOLDER / f"{name}.png").is_file(), "run `make pictures`"
