"""The recipe of a picture that is dropped on the page."""

import io
import json

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.browser.conftest import BrowserTab
from tests.browser.test_drawing import drop, let_fall

pytestmark = pytest.mark.service

INFOTEXT = """\
a blue (duck)
Negative prompt: grass
Steps: 9, Sampler: Euler a, Schedule type: Karras, CFG scale: 5, Seed: 77, Size: 192x128, \
Model: gone, Version: v1.10.1"""


def picture(**texts: str) -> bytes:
    info, data = PngInfo(), io.BytesIO()
    for name, text in texts.items():
        info.add_text(name, text)
    Image.new("RGB", (64, 64), "blue").save(data, "PNG", pnginfo=info)
    return data.getvalue()


def test_the_recipe_of_a_dropped_picture_fills_the_form(tab: BrowserTab) -> None:
    page = tab.open()
    tab.fill("something else", seed=1)
    drop(tab, picture(Software="GIMP"), "image/png")
    assert page.locator("#recipe-offer").is_hidden()

    drop(tab, picture(parameters=INFOTEXT), "image/png")
    page.click("#use-recipe")

    page.wait_for_selector("#not-read:not([hidden])")
    assert "Model gone: is not installed" in page.inner_text("#not-read")
    assert page.locator("#recipe-offer").is_hidden()
    assert page.locator("#init-picture").is_hidden()  # the recipe is one of text to image
    wanted = {
        "prompt": "a blue (duck)",
        "negative_prompt": "grass",
        "ddim_steps": "9",
        "scale": "5",
        "seed": "77",
        "W": "192",
        "H": "128",
        "n_iter": "1",
        "ckpt": "tiny",
        "sampler": "k_euler_a",
    }
    assert {name: page.input_value(f"#{name}") for name in wanted} == wanted
    assert "scheduler karras" in page.inner_text("#extras")
    with tab.next_job():
        page.click("#draw")
    tab.finished()


HELD = """
const decode = window.createImageBitmap.bind(window);
window.createImageBitmap = async (blob) => {
  await new Promise((resolve) => { window.release = resolve; });
  window.decoded = decode(blob);
  return window.decoded;
};
"""
"""Pictures are decoded when the test says so."""


def test_a_recipe_that_is_used_before_its_picture_is_decoded_replaces_it(tab: BrowserTab) -> None:
    tab.page.add_init_script(HELD)
    page = tab.open()
    let_fall(tab, picture(parameters=INFOTEXT), "image/png")
    page.click("#use-recipe")
    page.wait_for_selector("#not-read:not([hidden])")

    page.evaluate("window.release()")
    tab.until("window.decoded instanceof Promise")
    page.evaluate("window.decoded.then(() => new Promise((resolve) => setTimeout(resolve)))")

    assert page.locator("#init-picture").is_hidden()
    assert (page.input_value("#W"), page.input_value("#H")) == ("192", "128")


def test_a_picture_of_another_program_stays_the_init_image(tab: BrowserTab) -> None:
    page = tab.open()
    drop(tab, picture(prompt=json.dumps({"1": {"class_type": "Flux"}})), "image/png")
    page.click("#use-recipe")
    page.wait_for_selector("#not-read:not([hidden])")
    assert "none of them is a KSampler" in page.inner_text("#not-read")
