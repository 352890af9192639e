"""The pages that readers see, and the code blocks in them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
HTTP_API = ROOT / "docs" / "http-api.md"
PARAMETERS = ROOT / "docs" / "parameters.md"
CLIENTS = ROOT / "docs" / "clients.md"
RELIABILITY = ROOT / "docs" / "reliability.md"
PAGES = (README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md"))


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a page in a language."""
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


def code_spans(page: Path) -> list[str]:
    """The `inline code` of a page."""
    return re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL))
