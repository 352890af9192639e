"""`make page`: the screenshot of the web page in docs/clients.md.

Starts a real service and drives its page in Chromium. The generated images are the same each time;
the displayed durations are not.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import httpx
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from api.auth import DUMMY_KEY
from launcher.valkey import free_port

FILE = Path(__file__).parents[1] / "readme_examples" / "page.png"
PROMPTS = ("a white house at night", "a yellow duck on grass", "a red dragon on a beach")
TIMEOUT = 240
"""Seconds, for the service to become ready and for each step in the page."""


@contextmanager
def service() -> Iterator[str]:
    """The URL of a service started like `make up`, with a temporary data folder."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "launcher", "up"],
            env={**os.environ, "PORT": str(port), "DATA_DIR": folder, "API_KEYS": DUMMY_KEY},
            stdout=subprocess.DEVNULL,
        )
        try:
            _wait_for(url, process)
            yield url
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def screenshot(browser: Browser, url: str) -> bytes:
    """The page with a finished image, as PNG."""
    page = browser.new_page(viewport={"width": 1280, "height": 960}, color_scheme="light")
    page.set_default_timeout(TIMEOUT * 1000)
    page.add_init_script(
        f"if (location.protocol === 'http:') sessionStorage.setItem('api-key', '{DUMMY_KEY}')"
    )
    page.goto(url)
    page.wait_for_selector("body[data-ready]")
    for count, prompt in enumerate(PROMPTS, start=1):
        page.fill("#prompt", prompt)
        page.fill("#seed", "42")
        page.fill("#ddim_steps", "25")
        page.click("#draw")
        page.locator(
            f"#strip:has(li:nth-child({count})) li:first-child [data-state=SUCCESS]"
        ).wait_for()
    page.wait_for_selector("#result:not([hidden])")
    page.locator("#picture").evaluate("picture => picture.decode()")
    page.mouse.move(0, 0)
    page.locator("#prompt").evaluate("prompt => prompt.blur()")
    return page.screenshot()


def main() -> None:
    """Write the screenshot."""
    with service() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM") or shutil.which("chromium")
        )
        taken = Image.open(BytesIO(screenshot(browser, url))).convert("RGB")
        browser.close()
    taken.save(FILE, optimize=True)


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/readyz?for=jobs", timeout=5, trust_env=False).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    raise SystemExit("the service is not ready in time; `make up` shows its logs")


if __name__ == "__main__":
    main()
