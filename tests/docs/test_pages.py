"""What the pages name exists: links, files, tests, commands, settings, endpoints, codes."""

import re
from pathlib import Path

import pytest

from docs.examples import openapi
from docs.settings_tables import sections
from jobs.failures import FailureCode
from tests.docs.pages import HTTP_API, PAGES, README, RELIABILITY, ROOT, blocks, code_spans

OPERATIONS = ROOT / "docs" / "operations.md"
CHANGELOG = ROOT / "CHANGELOG.md"
CURRENT = tuple(page for page in PAGES if page != CHANGELOG)
"""The pages that describe the service as it is; the changelog also names what is gone."""
FOLDERS = (
    "api|benchmarks|client|deploy|docs|jobs|launcher|readme_examples|requirements|"
    "stable_diffusion|templates|tests|training|worker"
)
MAX_README_LINES = 180
NOT_SETTINGS = {
    *("SECRETS_DIR", "SD_ADDRESS", "SD_API_KEY", "HTTPS_PROXY", "HF_ENDPOINT", "HF_TOKEN"),
    *("NOISY_SKEW", "Z_RLE"),  # constants of the code
    *("ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY", "MKL_ENABLE_INSTRUCTIONS"),  # of libraries
    # of programs that use the service
    *("IMAGES_OPENAI_API_BASE_URL", "IMAGES_OPENAI_API_KEY", "SD_WEBUI_URL"),
    *("ENABLE_IMAGE_GENERATION", "ENABLE_IMAGE_EDIT", "IMAGE_GENERATION_ENGINE"),
    *("IMAGES_EDIT_OPENAI_API_BASE_URL", "IMAGES_EDIT_OPENAI_API_KEY"),
    *("IMAGES_OPENAI_PARAMS", "AUTOMATIC1111_PARAMS"),
    *("AUTOMATIC1111_BASE_URL", "AUTOMATIC1111_API_AUTH"),
    *("IMAGE_GEN_OAI_BASEURL", "IMAGE_GEN_OAI_API_KEY", "IMAGE_GEN_OAI_MODEL"),
}

LINK = r"\]\(((?:[^()\s]|(?:\(+[^()\s]*\)+))+)\)"
"""The target of a Markdown link; file names of images contain parentheses."""

of_each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
of_each_current_page = pytest.mark.parametrize("page", CURRENT, ids=lambda page: page.name)


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    }


def test_the_readme_is_short_and_begins_with_the_two_commands() -> None:
    lines = README.read_text().splitlines()

    assert len(lines) <= MAX_README_LINES
    assert blocks(README, "sh")[0] == "make demo\nmake test\n"
    assert lines.index("make demo") < 10


def test_the_readme_links_to_every_page() -> None:
    text = README.read_text()
    for page in PAGES:
        if page != README:
            assert f"]({page.relative_to(ROOT)})" in text


@of_each_page
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    prose = re.sub(r"```.*?```|`[^`]*`", "", page.read_text(), flags=re.DOTALL)
    for link in re.findall(LINK, prose):
        if re.match(r"https?:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


@of_each_current_page
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    text = re.sub(r"\]\([^)]*\)", "]", page.read_text())
    for name in re.findall(rf"`((?:{FOLDERS})/[\w./-]*)`", text):
        assert (ROOT / name).exists(), name
    for module in re.findall(rf"python -m ((?:{FOLDERS})[\w.]*)", text):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), module


@of_each_current_page
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page.read_text())

    assert len(named) > 25 or page != RELIABILITY
    for path, name in named:
        assert f"def {name}(" in (ROOT / path).read_text(), f"{path}::{name}"


@of_each_page
def test_every_make_target_that_a_page_names_exists(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    commands = [*code_spans(page), *"".join(blocks(page, "sh")).splitlines()]
    for command in commands:
        if found := re.match(r"(?:[A-Z]+=\S+ )*make ([a-z]+)", command):
            assert re.search(rf"^{found[1]}:", makefile, re.MULTILINE), command


@of_each_current_page
def test_every_setting_that_a_page_names_exists(page: Path) -> None:
    known = {setting.name for _, settings in sections() for setting in settings}
    named = [re.match(r"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)(=|$)", span) for span in code_spans(page)]

    assert {found[1] for found in named if found} - NOT_SETTINGS <= known


def test_every_metric_that_a_page_names_exists() -> None:
    sources = [ROOT / "api" / "metrics.py", *(ROOT / "worker").rglob("*.py")]
    source = "".join(path.read_text() for path in sources)
    named = {span for span in code_spans(OPERATIONS) if span.startswith("sd_")}

    assert named
    for name in named:
        # the Prometheus client appends _total to counters
        assert f'"{name.removesuffix("_total")}"' in source, name


def test_the_http_page_names_every_endpoint() -> None:
    text = HTTP_API.read_text()
    for path, methods in openapi()["paths"].items():
        pattern = re.escape(path.removesuffix("/") or "/")
        pattern = re.sub(r"\\\{\w+\\\}", "<[a-z]+>", pattern)
        for method in methods:
            assert re.search(rf"`{method.upper()} {pattern}[`/]", text), f"{method} {path}"


def test_the_http_page_says_whose_fault_each_failure_code_is() -> None:
    rows = re.findall(r"^\| (`.*?) \| (400|500) \|", HTTP_API.read_text(), re.MULTILINE)
    listed = {code: status for codes, status in rows for code in re.findall(r"`(\w+)`", codes)}

    assert listed == {code.value: "400" if code.requests_fault else "500" for code in FailureCode}


def test_the_http_page_names_every_key_of_the_status() -> None:
    keys = openapi()["components"]["schemas"]["Status"]["properties"]

    assert set(keys) <= set(code_spans(HTTP_API))
