"""The commands in README and docs name existing files."""

import re

import pytest

from docs.generate import ROOT

PAGES = ("README.md", "docs/containers.md", "docs/scaling.md")


@pytest.mark.parametrize("page", PAGES)
def test_every_file_in_a_command_exists(page: str) -> None:
    text = (ROOT / page).read_text()
    named = set(re.findall(r"(?:docker-compose[\w.-]*\.yml|(?<!exec )deploy/[\w./-]+)", text))

    assert named
    for name in named:
        assert (ROOT / name.rstrip(".")).exists(), name


def test_the_three_builds_are_built_started_scaled_and_ended_as_the_readme_says() -> None:
    text = (ROOT / "README.md").read_text()

    for command in ("build", "up", "up -d", "up -d --scale worker=5 --no-recreate"):
        assert re.search(rf"^docker-compose -f docker-compose\.build-cpu\.yml {command}( +#.*)?$",
                         text, re.M)  # fmt: skip
    assert "\ndocker-compose down " in text
    assert ":/queue/stable-diffusion-repo/outputs/. ~/sd-images\n" in text
