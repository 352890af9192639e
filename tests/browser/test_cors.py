"""A page of another origin in a real Chromium, whose requests need a preflight."""

from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Browser

from api.auth import DUMMY_KEY
from tests.api.serving import RunningApi
from tests.browser.conftest import PATIENCE

pytestmark = pytest.mark.service

ASK = """async ([url, key]) => {
  const headers = { "X-API-Key": key, "Content-Type": "application/json" };
  try {
    const answer = await fetch(url + "/generate", { method: "POST", headers, body: "[]" });
    return [answer.status, (await answer.json()).error];
  } catch (error) {
    return [0, error.name];
  }
}"""


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[str]:
    """A web server with an empty page."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("<!doctype html><title>a page</title>")
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "site"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("listed", [True, False])
def test_a_page_reads_answers_when_its_origin_is_listed(
    browser: Browser, origin: str, tmp_path: Path, listed: bool
) -> None:
    environment = {"DATA_DIR": str(tmp_path), "CORS_ORIGINS": origin if listed else ""}
    with RunningApi(environment, tmp_path / "log") as api:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(origin)
        status, error = page.evaluate(ASK, [api.url, DUMMY_KEY])
        page.close()

    if listed:
        assert (status, error) == (400, "the body must be a JSON object, not a list")
    else:
        assert (status, error) == (0, "TypeError")
