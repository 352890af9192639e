"""The page to work in: from a prompt to a picture."""

import io
import os
import subprocess
from pathlib import Path

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Route

from api.auth import DUMMY_KEY
from tests.api.conftest import painted
from tests.browser.conftest import BrowserTab

pytestmark = pytest.mark.service

KEY = {"X-API-Key": DUMMY_KEY}
LONG = {"W": 256, "H": 256, "ddim_steps": 900}
"""Long enough to be looked at while it is drawn, however busy the machine is; to be cancelled."""


def shown_picture(tab: BrowserTab) -> Image.Image:
    source = tab.page.get_attribute("#picture", "src")
    assert source and source.startswith("/images/")
    answer = httpx.get(tab.url + source, timeout=60, trust_env=False)
    return Image.open(io.BytesIO(answer.content)).convert("RGB")


def drop(tab: BrowserTab, data: bytes, mimetype: str) -> None:
    """Let a file fall on the page, as from the desktop; it is the init image on return."""
    let_fall(tab, data, mimetype)
    tab.page.wait_for_selector("#init-picture:not([hidden])")


def let_fall(tab: BrowserTab, data: bytes, mimetype: str) -> None:
    """The same, without waiting until the page has read it."""
    transfer = tab.page.evaluate_handle(
        "([bytes, type]) => { const transfer = new DataTransfer();"
        " transfer.items.add(new File([new Uint8Array(bytes)], 'dropped', {type}));"
        " return transfer; }",
        [list(data), mimetype],
    )
    tab.page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})


def test_a_prompt_becomes_a_picture_with_its_recipe(tab: BrowserTab) -> None:
    page = tab.open()
    tab.screenshot("work-empty")

    steps = 30  # a phase of less than 0.05 s is not listed
    tab.draw("a red circle", seed=7, negative_prompt="blue", ddim_steps=steps)
    tab.finished()

    assert shown_picture(tab).size == (128, 128)
    recipe = page.inner_text("#result .recipe")
    for fact in ("a red circle", "blue", "7", "tiny", "ddim", "30", "7.5", "128 × 128", "sample"):
        assert fact in recipe
    with page.expect_download() as download:
        page.click("#result a[download]")
    with Image.open(download.value.path()) as downloaded:
        assert downloaded.size == (128, 128)
    tab.screenshot("work-finished", whole=True)


def test_a_preset_fills_the_form_and_is_told_with_the_picture(tab: BrowserTab) -> None:
    page = tab.open()
    for name, value in (("prompt", "a red circle"), ("W", "64"), ("H", "64"), ("scale", "3")):
        page.fill(f"#{name}", value)

    page.select_option("#preset", "quality")
    assert [page.input_value(f"#{name}") for name in ("ddim_steps", "scale")] == ["40", "7.5"]
    page.select_option("#ckpt", "tiny-v2")
    assert page.is_hidden("#preset")
    assert page.input_value("#ddim_steps") == "20"
    page.select_option("#ckpt", "tiny")
    page.select_option("#preset", "quality")
    with tab.next_job():
        page.click("#draw")
    tab.finished()

    recipe = page.inner_text("#result .recipe")
    assert "quality" in recipe and "40" in recipe


def test_a_finished_picture_is_enlarged(tab: BrowserTab) -> None:
    page = tab.open()
    tab.draw("a red circle", seed=7)
    tab.finished()
    small = page.get_attribute("#picture", "src")

    page.click("text=Enlarge")
    page.wait_for_function(
        "small => document.querySelector('#picture').src.endsWith(small) === false", arg=small
    )
    tab.finished()

    assert shown_picture(tab).size == (256, 256)
    recipe = page.inner_text("#result .recipe")
    assert "upscaler-x2" in recipe
    assert "undefined" not in recipe
    assert "/upscale" in (page.text_content("#result .command") or "")


def test_steps_advance_and_the_preview_changes_while_it_is_drawn(tab: BrowserTab) -> None:
    page = tab.open()
    tab.draw("a red dragon on a beach", **LONG)

    page.wait_for_selector("#picture.preview")
    first, step = page.get_attribute("#picture", "src"), tab.step()
    tab.screenshot("work-preview")
    tab.until(
        "first => ![first, undefined].includes(document.querySelector('#picture.preview')?.src)",
        first,
    )
    assert page.locator("#picture").get_attribute("class") == "picture preview"
    assert tab.step() >= step
    assert "left" in page.inner_text("#left")
    assert page.locator("#bar").evaluate("bar => bar.value") > 0
    page.keyboard.press("Escape")
    tab.says("cancelled")

    tab.draw("a red dragon on a beach", W=256, H=256, ddim_steps=40)
    tab.finished()
    assert page.locator("#picture").get_attribute("class") == "picture"
    assert shown_picture(tab).size == (256, 256)
    assert page.locator("#doing").is_hidden()


def test_without_events_the_page_asks_and_gets_there(tab: BrowserTab) -> None:
    tab.refusals = {503}
    tab.context.route("**/events/*", lambda route: route.fulfill(status=503))
    page = tab.open()

    tab.draw("a cat", **LONG)  # it asks once a second
    tab.says("step")
    page.keyboard.press("Escape")
    tab.says("cancelled")
    tab.draw("a cat")
    tab.finished()


def test_a_waiting_job_knows_its_place_and_is_cancelled_with_escape(tab: BrowserTab) -> None:
    page = tab.open()
    body = {"prompt": "a cat", **LONG, "n_iter": 4}
    with httpx.Client(base_url=tab.url, headers=KEY, trust_env=False, timeout=60) as client:
        slots = sum(worker["slots"] for worker in client.get("/workers").json()["workers"])
        ahead = [client.post("/generate", json=body).json()["task_id"] for _ in range(slots + 1)]
        try:
            tab.draw()
            tab.says("place 2 in the queue")
            page.keyboard.press("Escape")
            tab.says("cancelled")
        finally:
            for job_id in ahead:
                client.post(f"/cancel/{job_id}")
    assert page.locator("#cancel").is_hidden()
    assert page.inner_text("#news") == "cancelled"


def test_a_running_job_is_cancelled_with_the_button(tab: BrowserTab) -> None:
    page = tab.open()
    job_id = tab.draw("a cat", **LONG)
    tab.says("step")

    page.click("#cancel")

    tab.says("cancelled")
    status = httpx.get(f"{tab.url}/status/{job_id}", timeout=60, trust_env=False).json()
    assert status["State"] == "CANCELLED"


def test_a_picture_that_is_dropped_is_drawn_anew(tab: BrowserTab) -> None:
    page = tab.open()
    drop(tab, painted((200, 100), "blue", "jpg"), "image/jpeg")
    assert (page.input_value("#W"), page.input_value("#H")) == ("256", "128")
    page.locator("#denoising_strength").fill("0.4")

    tab.draw("a blue circle", W=128, H=64, ddim_steps=10)
    tab.finished()

    red, _, blue = shown_picture(tab).resize((1, 1)).getpixel((0, 0))  # type: ignore[misc]
    assert blue > red
    recipe = page.inner_text("#result .recipe")
    assert "Strength\n0.4" in recipe
    assert "of 10" in recipe  # fewer steps are run than asked for
    tab.screenshot("work-img2img")


def test_what_is_no_picture_is_said_when_it_is_dropped(tab: BrowserTab) -> None:
    page = tab.open()
    page.set_input_files(
        "#init_img", files=[{"name": "a.png", "mimeType": "image/png", "buffer": b"no picture"}]
    )

    page.wait_for_selector("#refusal:not([hidden])")
    assert "cannot read this file as a picture" in page.inner_text("#refusal")
    assert page.locator("#strength").is_hidden()


def test_a_picture_that_only_the_service_can_read_is_sent_to_it(tab: BrowserTab) -> None:
    page = tab.open()
    tiff = io.BytesIO()
    Image.new("RGB", (64, 64), "blue").save(tiff, "TIFF")
    page.set_input_files(
        "#init_img",
        files=[{"name": "a.tif", "mimeType": "image/tiff", "buffer": tiff.getvalue()}],
    )
    page.wait_for_selector("#strength:not([hidden])")
    assert "a.tif" in page.inner_text("#drop-words")
    tab.draw("grass", W=64, H=64, ddim_steps=4)
    tab.finished()


def test_a_picture_is_sent_on_and_its_recipe_used_again(tab: BrowserTab) -> None:
    page = tab.open()
    tab.draw("two cats", seed=3, n_iter=2)
    tab.finished()
    page.click("#pictures li:nth-child(2) button")
    second = shown_picture(tab)
    page.fill("#prompt", "something else")

    page.click("text=Use this recipe")
    assert page.input_value("#prompt") == "two cats"
    assert (page.input_value("#seed"), page.input_value("#n_iter")) == ("4", "1")
    with tab.next_job():
        page.keyboard.press("Control+Enter")
    tab.finished()
    assert shown_picture(tab).tobytes() == second.tobytes()

    page.click("text=Edit this picture")
    page.wait_for_selector("#init-picture:not([hidden])")
    tab.until("document.querySelector('#init-picture').naturalWidth === 128")


def test_a_reload_in_the_middle_finds_the_job_again(tab: BrowserTab) -> None:
    page = tab.open()
    job_id = tab.draw("a white duck", **LONG)
    tab.says("step")
    page.fill("#negative_prompt", "not yet sent")
    before = tab.step()

    tab.reload()
    tab.says("step")

    assert page.url.endswith(f"#job={job_id}")
    assert tab.step() >= before
    assert page.input_value("#prompt") == "a white duck"
    assert page.input_value("#negative_prompt") == "not yet sent"
    elsewhere = tab.context.new_page()  # knows nothing but the address
    elsewhere.goto(page.url)
    tab.until("document.querySelector('#sentence')?.textContent.includes('step')", page=elsewhere)
    elsewhere.close()
    page.keyboard.press("Escape")
    tab.says("cancelled")


def test_nothing_is_drawn_before_the_page_knows_its_jobs(tab: BrowserTab) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    tab.context.route("**/capabilities", hold)
    tab.page.goto(tab.url)
    while not held:
        tab.page.wait_for_timeout(50)
    assert tab.page.locator("#draw").is_disabled()

    held[0].continue_()
    tab.page.wait_for_selector("#draw:enabled")
    tab.context.unroute_all()


def test_the_curl_command_draws_the_same_picture(tab: BrowserTab, tmp_path: Path) -> None:
    page = tab.open()
    tab.draw("""it's a "red" cat at $HOME, `date` \\ 100%""", seed=11)
    tab.finished()
    shown = shown_picture(tab)
    page.click("#result summary")
    command = page.text_content("#result .command") or ""
    assert DUMMY_KEY not in page.content()
    # a model may have defaults of its own for these
    assert all(f'"{name}": ' in command for name in ("W", "H", "vae"))

    subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=tmp_path,
        env={**os.environ, "API_KEY": DUMMY_KEY, "no_proxy": "*"},
        check=True,
        timeout=240,
    )

    (made,) = tmp_path.iterdir()
    assert Image.open(made).convert("RGB").tobytes() == shown.tobytes()


def test_the_curl_command_of_a_picture_that_had_a_start_takes_one_too(
    tab: BrowserTab, tmp_path: Path
) -> None:
    page = tab.open()
    start = painted((64, 64), "green", "png")
    drop(tab, start, "image/png")
    tab.draw("grass", W=64, H=64, ddim_steps=4, seed=1)
    tab.finished()
    shown = shown_picture(tab)
    page.click("#result summary")
    (tmp_path / "picture.png").write_bytes(start)

    subprocess.run(
        ["bash", "-euo", "pipefail", "-c", page.inner_text("#result .command")],
        cwd=tmp_path,
        env={**os.environ, "API_KEY": DUMMY_KEY, "no_proxy": "*"},
        check=True,
        timeout=240,
    )

    (made,) = (path for path in tmp_path.iterdir() if path.name != "picture.png")
    assert Image.open(made).convert("RGB").tobytes() == shown.tobytes()


def test_another_model_has_its_own_size_unless_the_user_chose_one(tab: BrowserTab) -> None:
    def with_size(route: Route) -> None:
        told = route.fetch().json()
        told["model_defaults"]["tiny-v2"] = {"defaults": {"W": 192, "H": 128}, "presets": {}}
        route.fulfill(json=told)

    def size() -> tuple[str, str]:
        return page.input_value("#W"), page.input_value("#H")

    tab.page.route("**/capabilities", with_size)
    page = tab.open()
    assert size() == ("256", "256")
    page.select_option("#ckpt", "tiny-v2")
    assert size() == ("192", "128")
    page.select_option("#ckpt", "tiny")
    assert size() == ("256", "256")

    page.fill("#W", "64")
    page.select_option("#ckpt", "tiny-v2")
    assert size() == ("64", "256")


def test_each_picture_of_a_comparison_is_told_with_its_own_size(tab: BrowserTab) -> None:
    body = {"prompt": "a cat", "H": 64, "ddim_steps": 1, "vary": {"W": [64, 128]}}
    job = httpx.post(f"{tab.url}/generate", json=body, headers=KEY, trust_env=False).json()
    page = tab.open(f"/#job={job['task_id']}")
    tab.finished()
    for number, size in ((0, "64 × 64"), (1, "128 × 64"), (0, "64 × 64")):
        page.locator("#pictures button").nth(number).click()
        assert size in page.inner_text("#result .recipe")
    page.locator("#pictures button").nth(2).click()
    tab.until("() => document.querySelector('#picture').complete")
    grid = page.locator("#picture").evaluate(
        "shown => `${shown.naturalWidth} × ${shown.naturalHeight}`"
    )
    assert grid in page.inner_text("#result .recipe")
