"""The gallery: what is under way on top, then the pictures, newest first."""

import httpx
import pytest

from api.auth import DUMMY_KEY
from tests.browser.conftest import BrowserTab

pytestmark = pytest.mark.service

KEY = {"X-API-Key": DUMMY_KEY}
SMALL = {"W": 64, "H": 64, "ddim_steps": 4}


def post(tab: BrowserTab, **body: object) -> httpx.Response:
    answer = httpx.post(f"{tab.url}/generate", json=body, headers=KEY, timeout=240, trust_env=False)
    return answer.raise_for_status()


def test_the_newest_picture_comes_first_and_opens_large(tab: BrowserTab) -> None:
    for prompt, seed in (("a red cat", 5), ("a blue cat", 6)):
        post(tab, prompt=prompt, seed=seed, synchronous_request=True, n_iter=2, **SMALL)
    page = tab.open("/recent")

    cards = page.locator(".cards li").all_inner_texts()
    assert [card.splitlines()[0] for card in cards[:4]] == ["a blue cat"] * 2 + ["a red cat"] * 2
    assert "tiny · 6 · just now" in cards[0]
    tab.screenshot("gallery")

    page.click(".cards li:nth-child(2) button")
    assert "Seed\n7" in page.inner_text("#large .recipe")
    page.keyboard.press("ArrowRight")
    assert "a red cat" in page.inner_text("#large .recipe")
    tab.screenshot("gallery-large")
    address = page.url
    page.keyboard.press("Escape")
    assert page.locator("#large").is_hidden()
    assert page.evaluate("document.activeElement.closest('.cards') !== null")
    page.wait_for_url(f"{tab.url}/recent")  # the address names no picture any more

    page.goto(address)
    page.wait_for_selector("#large[open]")
    assert "a red cat" in page.inner_text("#large .recipe")
    with page.expect_download() as download:
        page.click("#large a[download]")
    assert download.value.suggested_filename.endswith("_0.png")


def test_a_recipe_and_a_picture_go_from_the_gallery_to_the_page(tab: BrowserTab) -> None:
    post(tab, prompt="a green tree", seed=8, synchronous_request=True, scale=3, **SMALL)
    page = tab.open("/recent")
    page.click(".cards button")
    page.click("text=Use this recipe")
    tab.until("document.querySelector('#prompt')?.value === 'a green tree'")
    page.wait_for_selector("body[data-ready]")
    found = {name: page.input_value(f"#{name}") for name in ("seed", "scale", "W", "ddim_steps")}
    assert found == {"seed": "8", "scale": "3", "W": "64", "ddim_steps": "4"}

    page.go_back()
    page.wait_for_selector("#large[open]")
    page.click("text=Edit this picture")
    page.wait_for_selector("#init-picture:not([hidden])")
    assert page.input_value("#prompt") == "a green tree"


def test_jobs_under_way_stand_on_top_and_can_be_cancelled(tab: BrowserTab) -> None:
    post(tab, prompt="a long way", W=256, H=256, ddim_steps=900)
    page = tab.open("/recent")
    page.wait_for_selector("#jobs li")
    assert "a long way" in page.inner_text("#jobs")
    tab.until("document.querySelector('#jobs .status').textContent.includes('step')")
    tab.screenshot("gallery-under-way")

    page.click("#jobs button")
    page.wait_for_selector("#under-way", state="hidden")


def test_a_key_in_the_address_is_taken_out_of_it(tab: BrowserTab) -> None:
    post(tab, prompt="a cat", synchronous_request=True, **SMALL)
    for address in (f"/recent?api_key={DUMMY_KEY}", f"/recent#key={DUMMY_KEY}"):
        page = tab.open(address, key=None)

        page.wait_for_selector(".cards li")
        tab.without_key()
        page.evaluate("sessionStorage.clear()")
