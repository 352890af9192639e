"""What holds on every page: the key, faults, keyboard, small screens, and that words stay words."""

import httpx
import pytest
from playwright.sync_api import Page

from api.auth import DUMMY_KEY
from tests.browser.conftest import BrowserTab

pytestmark = pytest.mark.service

HOSTILE = """'"><img src=x onerror="window.hacked = 1"><svg onload=window.hacked=1> &amp;"""
WIDE = "a cat " + "x" * 300


def fits(page: Page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_key_is_asked_for_once_and_kept_for_the_session(tab: BrowserTab) -> None:
    tab.refusals = {401}
    page = tab.open(key=None)
    tab.fill()
    page.click("#draw")
    page.fill("dialog #key", "wrong")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog .fault")
    page.fill("dialog #key", DUMMY_KEY)
    page.keyboard.press("Enter")
    tab.finished()

    tab.reload()
    tab.draw()
    tab.finished()
    page.click("text=Gallery")
    page.wait_for_selector(".cards li")

    assert page.locator("dialog.key").count() == 0
    assert DUMMY_KEY not in page.url


def test_the_link_that_the_launcher_prints_brings_the_key_along(tab: BrowserTab) -> None:
    page = tab.open(f"/#key={DUMMY_KEY}", key=None)
    tab.without_key()
    assert page.evaluate("history.length") <= 2  # this page, and the empty one before it
    page.go_back()
    page.go_forward()
    page.wait_for_selector("body[data-ready]")
    tab.without_key()
    tab.draw()
    tab.finished()
    assert page.locator("dialog.key").count() == 0


def test_a_link_with_another_key_works_in_the_open_page(tab: BrowserTab) -> None:
    tab.refusals = {401}
    page = tab.open(key=None)
    page.evaluate("sessionStorage.setItem('api-key', 'old')")
    tab.fill()
    page.click("#draw")
    page.wait_for_selector("dialog.key .fault")
    assert "API_KEYS" in page.inner_text("dialog.key")
    page.keyboard.press("Escape")
    page.evaluate("location.hash = 'key=%D0%BA%2B%26'")
    tab.until("() => sessionStorage.getItem('api-key') === 'к+&'")
    tab.without_key()


def test_without_a_key_nothing_is_drawn_and_the_page_says_why(tab: BrowserTab) -> None:
    tab.refusals = {401}
    page = tab.open(key=None)
    tab.fill()
    page.click("#draw")
    page.wait_for_selector("dialog.key")
    page.keyboard.press("Escape")

    page.wait_for_selector("#refusal:not([hidden])")
    assert "key" in page.inner_text("#refusal")
    assert page.locator("#draw").is_enabled()


def test_wrong_fields_are_shown_at_the_fields(tab: BrowserTab) -> None:
    tab.refusals = {400}
    page = tab.open()
    tab.fill("a (cat:x)", W=65, ddim_steps=0)
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".fault")

    faulty = page.locator("[aria-invalid=true]")
    assert [field.get_attribute("name") for field in faulty.all()] == ["W", "ddim_steps"]
    assert "multiple of 8" in page.inner_text("#fault-W")
    assert page.get_attribute("#W", "aria-describedby") == "fault-W"
    assert page.evaluate("document.activeElement.id") == "W"
    tab.screenshot("work-faults")

    tab.draw("a cat")
    tab.finished()
    assert page.locator(".fault").count() == 0


def test_words_that_look_like_html_stay_words(tab: BrowserTab) -> None:
    page = tab.open()
    tab.draw(HOSTILE, negative_prompt=HOSTILE)
    tab.finished()
    assert HOSTILE in page.inner_text("#result .recipe")
    tab.reload()
    tab.finished()

    page.goto(f"{tab.url}/recent")
    page.click(".cards button")
    page.wait_for_selector("#large[open]")
    assert HOSTILE in page.inner_text("#large .recipe")
    assert HOSTILE in page.inner_text(".cards li:first-child")
    page.click("#large summary")
    tab.screenshot("gallery-hostile")
    page.click("text=Use this recipe")
    tab.until("document.querySelector('#prompt')?.value")
    assert page.input_value("#prompt") == HOSTILE

    assert page.evaluate("window.hacked") is None


def test_scripts_that_were_smuggled_in_would_not_run(tab: BrowserTab) -> None:
    tab.refusals = {404}  # of the picture, whenever the browser reports it
    page = tab.open()
    with page.expect_console_message(lambda said: "Content Security Policy" in said.text):
        page.evaluate(
            "html => document.body.insertAdjacentHTML('beforeend', html)",
            '<img src="/pages/none.png" onerror="window.hacked = 1">',
        )

    assert page.evaluate("window.hacked") is None
    tab.complaints.clear()


def test_everything_is_done_by_keyboard(tab: BrowserTab) -> None:
    page = tab.open()
    reached: list[str] = []

    def press_until(selector: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            reached.append(
                page.evaluate(
                    "() => { const it = document.activeElement, ring = it.closest('.drop') ?? it;"
                    " const name = it.id || it.textContent;"
                    " if (it === document.body) return 'the end of the page';"
                    " const unseen = getComputedStyle(ring).outlineStyle === 'none';"
                    " return unseen ? `unseen ${it.outerHTML}` : name; }"
                )
            )
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
        raise AssertionError(f"{selector} is not reached: {reached}")

    press_until("#prompt")
    page.keyboard.type("a yellow star")
    for name, value in {"W": "128", "H": "128", "ddim_steps": "6"}.items():
        press_until(f"#{name}")
        page.keyboard.press("Control+A")
        page.keyboard.type(value)
    page.keyboard.press("Control+Enter")
    tab.finished()
    press_until(".actions button")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "prompt"
    press_until("#draw")
    page.keyboard.press("Enter")
    tab.until("document.querySelectorAll('#strip li').length === 2")
    tab.finished()
    press_until("#strip li:nth-child(2) button")
    page.keyboard.press("Enter")
    assert page.get_attribute("#strip li:nth-child(2) button", "aria-current") == "true"

    assert [each for each in reached if each.startswith("unseen")] == []


def test_every_control_has_a_name(tab: BrowserTab) -> None:
    page = tab.open()
    tab.draw()
    tab.finished()
    for path in ("/", "/recent"):
        page.goto(tab.url + path)
        page.wait_for_selector("body[data-ready]")
        page.wait_for_selector("#strip li, .cards li")
        nameless = page.evaluate(
            "[...document.querySelectorAll('button, a, input, select, textarea, progress, dialog')]"
            ".filter(each => !each.closest('[hidden]') && !each.labels?.length"
            " && !each.ariaLabel && !each.textContent.trim()).map(each => each.outerHTML)"
        )
        assert [each for each in nameless if 'type="file"' not in each] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_small_screen_needs_no_scrolling_to_the_side(tab: BrowserTab, scheme: str) -> None:
    tab.page.set_viewport_size({"width": 360, "height": 740})
    tab.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page = tab.open()
    assert fits(page)
    page.click("#settings summary")
    tab.draw(WIDE, n_iter=3)
    assert fits(page)
    tab.finished()
    page.click("#result summary")
    assert fits(page)
    tab.screenshot(f"work-360-{scheme}", whole=True)

    page.goto(f"{tab.url}/recent")
    page.wait_for_selector(".cards li")
    assert fits(page)
    tab.screenshot(f"gallery-360-{scheme}")
    page.click(".cards button")
    page.wait_for_selector("#large[open]")
    assert fits(page)
    tab.screenshot(f"large-360-{scheme}")


def test_pages_come_with_their_headers_and_are_not_sent_twice(service: str) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    with httpx.Client(base_url=service, trust_env=False, timeout=60) as client:
        for path, kind in {
            "/": "text/html; charset=utf-8",
            "/recent": "text/html; charset=utf-8",
            "/pages/generate.js": "text/javascript; charset=utf-8",
            "/pages/base.css": "text/css; charset=utf-8",
            "/pages/icon.svg": "image/svg+xml; charset=utf-8",
        }.items():
            answer = client.get(path, headers=browser)
            assert answer.headers["Content-Type"] == kind
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
            assert "unsafe" not in answer.headers["Content-Security-Policy"]
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            again = {**browser, "If-None-Match": answer.headers["ETag"]}
            assert client.get(path, headers=again).status_code == 304


def test_swagger_s_page_still_works(tab: BrowserTab) -> None:
    page = tab.page
    page.goto(f"{tab.url}/docs/")
    tab.until("document.querySelectorAll('.opblock').length > 10")
