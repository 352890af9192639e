"""What is written from the code is what the code says."""

from docs.generate import ENV_EXAMPLE, README, readme, requests, settings


def test_the_tables_of_the_readme_are_up_to_date() -> None:
    assert readme(README.read_text()) == README.read_text(), "run `make docs`"


def test_the_list_of_settings_is_up_to_date() -> None:
    assert ENV_EXAMPLE.read_text() == settings(), "run `make docs`"


def test_the_requests_for_postman_and_for_editors_are_up_to_date() -> None:
    for path, text in requests().items():
        assert path.read_text() == text, "run `make docs`"
