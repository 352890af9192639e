"""A real Chromium and the real service. A page must log no error or warning to its console."""

import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    Page,
    Request,
    sync_playwright,
)

from api.auth import DUMMY_KEY

SCREENSHOTS = Path(__file__).with_name("screenshots")
PATIENCE = 240_000
"""Milliseconds; a generous time for a busy machine."""
_REFUSED = re.compile(r"the server responded with a status of (\d+)")


def chromium() -> str:
    """The path of Chromium. Without one the test is skipped; in CI it fails."""
    names = (os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    if found:
        return found
    missing = (
        "Chromium is not installed: on Debian and Ubuntu `apt-get install chromium` gets it; "
        "one that stands elsewhere is named by CHROMIUM=/path/to/it"
    )
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        yield browser
        browser.close()


class BrowserTab:
    """A browser tab, and the actions of a user in it.

    Whatever the browser reports (errors, refusals of the Content-Security-Policy, requests to
    elsewhere) is kept in `complaints`; `refusals` holds the status codes that the test expects,
    which the browser notes on its console, too.
    """

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context = context
        self.url = url
        self.refusals: set[int] = set()
        self.complaints: list[str] = []
        context.set_default_timeout(PATIENCE)
        context.on("console", self._noted)
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        context.on("request", self._asked)
        self.page = context.new_page()

    def open(self, path: str = "/", *, key: str | None = DUMMY_KEY) -> Page:
        """Go to a page; with a key, as if it had been given before in this tab."""
        if key is not None:
            kept = f"sessionStorage.setItem('api-key', {json.dumps(key)})"
            self.page.add_init_script(f"if (location.protocol === 'http:') {kept}")
        self.page.goto(self.url + path)
        self.page.wait_for_selector("body[data-ready]")
        return self.page

    def reload(self) -> None:
        """Load the page again. What it remembers is there when this returns."""
        self.page.reload()
        self.page.wait_for_selector("body[data-ready]")

    def fill(self, prompt: str = "a red cat", **fields: object) -> None:
        """Fill the form in; what is not named is small, so that it is drawn soon."""
        self.page.fill("#prompt", prompt)
        for name, value in ({"W": 128, "H": 128, "ddim_steps": 6} | fields).items():
            self.page.fill(f"#{name}", str(value))

    def draw(self, prompt: str = "a red cat", **fields: object) -> str:
        """Fill in, submit, and return the job's id as the address has it."""
        self.fill(prompt, **fields)
        with self.next_job():
            self.page.click("#draw")
        return self.page.url.partition("#job=")[2]

    @contextmanager
    def next_job(self) -> Iterator[None]:
        """Leaves its block when the page shows another job than before it."""
        before = self.page.url
        yield
        self.until("before => location.href !== before", before)

    def finished(self) -> None:
        """Returns when the pictures are shown."""
        self.page.wait_for_selector("#result:not([hidden])")
        self.until(
            "() => { const shown = document.querySelector('#picture');"
            " return shown.complete && shown.naturalWidth > 0; }"
        )

    def says(self, words: str) -> None:
        """Returns when the line below the picture has these words."""
        self.until(
            "words => document.querySelector('#sentence').textContent.includes(words)", words
        )

    def until(self, true: str, argument: object = None, page: Page | None = None) -> None:
        """Returns when an expression is true in the page.

        Playwright's own waiting makes code of a string in the page, which its policy forbids.
        """
        page = page or self.page
        deadline = time.monotonic() + PATIENCE / 1000
        while not _evaluated(page, true, argument):
            assert time.monotonic() < deadline, f"never: {true}"
            page.wait_for_timeout(50)

    def without_key(self) -> None:
        """Returns when the key is no longer in the address."""
        self.page.wait_for_url(lambda url: "key" not in url)

    def step(self) -> int:
        """The step that the page tells; 0 while it tells none."""
        found = re.search(r"step (\d+) of", self.page.inner_text("#sentence"))
        return int(found[1]) if found else 0

    def screenshot(self, name: str, *, whole: bool = False) -> None:
        SCREENSHOTS.mkdir(exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=whole)

    def _noted(self, message: ConsoleMessage) -> None:
        refused = _REFUSED.search(message.text)
        if refused and int(refused[1]) in self.refusals:
            return
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((f"{self.url}/", "data:", f"blob:{self.url}/")):
            self.complaints.append(f"asked elsewhere: {request.url}")


def _evaluated(page: Page, expression: str, argument: object) -> object:
    try:
        return page.evaluate(expression, argument)
    except Error:  # another page is being loaded
        return None


@pytest.fixture
def tab(browser: Browser, service: str) -> Iterator[BrowserTab]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    tab = BrowserTab(context, service)
    yield tab
    context.close()
    assert tab.complaints == []
