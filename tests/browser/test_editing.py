"""The editor of the init image: mask and border, by mouse, finger, pen and keyboard."""

import base64
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image, ImageChops
from playwright.sync_api import Browser, CDPSession

from tests.browser.conftest import BrowserTab
from tests.browser.test_drawing import drop, shown_picture

pytestmark = pytest.mark.service

SIDE = 128
"""Of the picture and of what is generated, in pixels."""


def scene() -> Image.Image:
    """A picture with no two equal columns or rows."""
    across = Image.linear_gradient("L").resize((SIDE, SIDE))
    return Image.merge("RGB", (across, across.rotate(90), Image.new("L", (SIDE, SIDE), 90)))


def png(image: Image.Image, **options: Any) -> bytes:
    data = io.BytesIO()
    image.save(data, "PNG", **options)
    return data.getvalue()


@pytest.fixture
def editor(tab: BrowserTab) -> BrowserTab:
    """The page with a picture in its editor, and a brush as wide as half of it."""
    tab.open()
    drop(tab, png(scene()), "image/png")
    tab.page.wait_for_selector("#editor:not([hidden])")
    tab.fill("grass", W=SIDE, H=SIDE)
    tab.page.locator("#brush").fill("50")
    tab.page.locator("#editor").scroll_into_view_if_needed()
    return tab


def at(tab: BrowserTab, x: float, y: float) -> tuple[float, float]:
    """A point of the picture, in shares of its sides, as a point of the window."""
    box = tab.page.locator("#part").bounding_box()
    assert box
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def stroke(tab: BrowserTab, *points: tuple[float, float], button: Any = "left") -> None:
    tab.page.mouse.move(*at(tab, *points[0]))
    tab.page.mouse.down(button=button)
    for point in points[1:]:
        tab.page.mouse.move(*at(tab, *point), steps=4)
    tab.page.mouse.up(button=button)


def paint_left(tab: BrowserTab) -> None:
    stroke(tab, (0.25, 0), (0.25, 1))


def body(tab: BrowserTab) -> dict[str, Any]:
    """What the page would send; the service does not get it."""
    tab.refusals = {503}
    tab.context.route("**/img2img", lambda route: route.fulfill(status=503, json={"error": "no"}))
    with tab.page.expect_request("**/img2img") as sent:
        tab.page.click("#draw")
    tab.page.wait_for_selector("#draw:enabled")
    return json.loads(sent.value.post_data or "")


def mask(tab: BrowserTab) -> Image.Image:
    """The mask that the page would send."""
    return Image.open(io.BytesIO(base64.b64decode(body(tab)["mask"])))


def part(image: Image.Image, left: float, right: float) -> tuple[int, int]:
    """The darkest and the lightest pixel between two columns, in shares of the width."""
    box = round(left * image.width), 0, round(right * image.width), image.height
    return image.convert("L").crop(box).getextrema()  # type: ignore[return-value]


WHITE, BLACK = (255, 255), (0, 0)


def test_what_is_painted_with_the_mouse_is_white_in_the_mask(editor: BrowserTab) -> None:
    page = editor.page
    assert "mask" not in body(editor)
    assert page.locator("#mask-options").is_hidden()

    paint_left(editor)
    found = mask(editor)
    assert found.size == (SIDE, SIDE)
    assert (part(found, 0, 0.49), part(found, 0.51, 1)) == (WHITE, BLACK)

    stroke(editor, (0.5, 0.25), (0.5, 0.25), button="right")
    assert part(mask(editor), 0, 0.49)[0] == 0  # erased
    page.keyboard.press("Control+z")
    assert part(mask(editor), 0, 0.49) == WHITE
    page.click("#invert")
    assert (part(mask(editor), 0, 0.49), part(mask(editor), 0.51, 1)) == (BLACK, WHITE)
    page.click("#clear")
    assert "mask" not in body(editor)
    page.focus("#paint")
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+Shift+Z")
    assert part(mask(editor), 0.51, 1) == WHITE
    editor.screenshot("editor-mask")


def test_a_stroke_goes_on_when_the_picture_below_it_has_been_loaded(editor: BrowserTab) -> None:
    mouse = editor.page.mouse
    mouse.move(*at(editor, 0.25, 0))
    mouse.down()
    editor.page.dispatch_event("#edited", "load")
    mouse.move(*at(editor, 0.25, 1), steps=4)
    mouse.up()

    assert part(mask(editor), 0, 0.49) == WHITE


def test_the_options_of_a_mask_are_sent_with_it(editor: BrowserTab) -> None:
    paint_left(editor)
    page = editor.page
    assert page.locator("#mask_padding").is_hidden()
    page.select_option("#mask_area", "masked")
    page.fill("#mask_padding", "16")
    page.select_option("#mask_fill", "noise")
    sent = body(editor)
    assert {name: value for name, value in sent.items() if name.startswith("mask_")} == {
        "mask_blur": 4,
        "mask_fill": "noise",
        "mask_area": "masked",
        "mask_padding": 16,
    }


def test_what_is_not_painted_can_be_drawn_anew(editor: BrowserTab) -> None:
    page = editor.page
    page.fill("#extend-left", "64")  # a border alone has no mask to invert
    assert page.locator("#mask_invert").is_hidden()
    page.fill("#extend-left", "0")
    paint_left(editor)
    page.check("#mask_invert")

    sent = body(editor)
    assert sent["mask_invert"] is True
    found = Image.open(io.BytesIO(base64.b64decode(sent["mask"])))
    assert part(found, 0, 0.49) == WHITE  # the service inverts it
    page.click("#clear")
    assert "mask_invert" not in body(editor)


def test_the_transparency_of_a_picture_can_be_its_mask(editor: BrowserTab) -> None:
    page = editor.page
    assert page.locator("#mask_from_alpha").is_hidden()  # the picture is opaque
    half = scene()
    half.putalpha(Image.new("L", (SIDE, SIDE), 255))
    half.paste((0, 0, 0, 0), (0, 0, SIDE // 2, SIDE))
    drop(editor, png(half), "image/png")
    page.wait_for_selector("#mask_from_alpha")
    stroke(editor, (0.75, 0), (0.75, 1))
    assert "mask_from_alpha" not in body(editor)

    page.check("#mask_from_alpha")
    stroke(editor, (0.5, 0), (0.5, 1))  # paints nothing now
    assert page.locator("#clear").is_disabled()
    assert page.inner_text("#invert-words") == "Draw anew what is not transparent"
    shown = page.evaluate(
        """() => {
            const canvas = document.querySelector("#paint");
            const { data } = canvas.getContext("2d").getImageData(0, 64, canvas.width, 1);
            return [data[4 * 10 + 3], data[4 * (canvas.width - 10) + 3]];
        }"""
    )
    assert shown == [255, 0]  # what is transparent has the colour of the mask
    editor.screenshot("editor-alpha", whole=True)
    sent = body(editor)
    assert (sent["mask_from_alpha"], "mask" in sent) == (True, False)
    assert Image.open(io.BytesIO(base64.b64decode(sent["init_img"]))).mode == "RGBA"

    page.uncheck("#mask_from_alpha")
    assert part(mask(editor), 0.51, 1)[1] == 255  # what was painted is there again
    page.check("#mask_from_alpha")
    editor.context.unroute_all()
    page.select_option("#format", "webp")
    editor.draw("grass")
    editor.finished()
    drawn = page.request.get(editor.url + (page.get_attribute("#picture", "src") or ""))
    assert drawn.headers["content-type"] == "image/webp"
    page.click("text=Use this recipe")
    assert page.is_checked("#mask_from_alpha")


def test_it_is_painted_by_keyboard(editor: BrowserTab) -> None:
    page = editor.page
    page.focus("#paint")
    page.keyboard.press("[")
    for _ in range(2):
        page.keyboard.press("ArrowLeft")
    page.keyboard.press(" ")
    found = mask(editor)
    assert part(found, 0.2, 0.3)[1] == 255
    assert part(found, 0.6, 1) == BLACK


def test_a_mask_has_the_size_of_the_upright_picture(tab: BrowserTab) -> None:
    tab.open()
    turned = Image.Exif()
    turned[0x0112] = 6
    drop(tab, png(Image.new("RGB", (96, 64), "red"), exif=turned), "image/png")
    tab.page.focus("#paint")
    tab.page.keyboard.press(" ")
    assert mask(tab).size == (64, 96)


def test_a_border_is_added_by_dragging_an_edge_and_by_keys(editor: BrowserTab) -> None:
    page = editor.page
    x, y = at(editor, 1, 0.5)
    width = x - at(editor, 0, 0.5)[0]
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + width / 4 + 2, y, steps=3)
    page.mouse.up()
    page.focus("[data-side=top]")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowDown")
    page.fill("#extend-left", "24")

    sent = body(editor)
    assert sent["extend"] == {"left": 24, "right": 32, "top": 8}
    assert "mask" not in sent
    assert page.inner_text("#becomes") == "184 × 136"
    assert page.get_attribute("[data-side=right]", "aria-valuenow") == "32"
    editor.screenshot("editor-extend")

    page.focus("[data-side=right]")
    page.keyboard.press("End")
    most = int(page.get_attribute("#W", "max") or 0)
    assert body(editor)["extend"]["right"] == most - SIDE - 24


@pytest.fixture
def phone(browser: Browser, service: str) -> Iterator[BrowserTab]:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    tab = BrowserTab(context, service)
    yield tab
    context.close()
    assert tab.complaints == []


def touch(devtools: CDPSession, kind: str, *points: tuple[float, float]) -> None:
    """Real touches, as the screen reports them: all fingers at once."""
    fingers = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
    devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})


def pen(devtools: CDPSession, kind: str, point: tuple[float, float], force: float) -> None:
    devtools.send(
        "Input.dispatchMouseEvent",
        {
            "type": kind,
            "x": point[0],
            "y": point[1],
            "button": "left",
            "buttons": 1,
            "clickCount": 1,
            "pointerType": "pen",
            "force": force,
        },
    )


def test_one_finger_paints_and_a_pen_paints_as_hard_as_it_is_pressed(phone: BrowserTab) -> None:
    page = phone.open()
    drop(phone, png(scene()), "image/png")
    page.click("#settings summary")
    phone.fill(W=SIDE, H=SIDE)
    page.locator("#brush").fill("50")
    page.locator("#board").scroll_into_view_if_needed()
    devtools = phone.context.new_cdp_session(page)
    before = page.evaluate("scrollY")

    touch(devtools, "touchStart", at(phone, 0.25, 0))
    touch(devtools, "touchStart", at(phone, 0.25, 0), at(phone, 0.9, 0.5))  # a second finger
    touch(devtools, "touchMove", at(phone, 0.25, 0.5), at(phone, 0.9, 0.6))
    touch(devtools, "touchMove", at(phone, 0.25, 1), at(phone, 0.9, 0.7))
    touch(devtools, "touchEnd")

    assert page.evaluate("scrollY") == before
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    phone.screenshot("editor-390")
    phone.screenshot("editor-390-whole", whole=True)
    found = mask(phone)
    assert (part(found, 0, 0.49), part(found, 0.51, 1)) == (WHITE, BLACK)

    page.click("#clear")
    page.locator("#board").scroll_into_view_if_needed()
    pen(devtools, "mousePressed", at(phone, 0.5, 0.5), 0.5)
    pen(devtools, "mouseReleased", at(phone, 0.5, 0.5), 0)
    half = [255 * (value > 127) for value in range(256)]
    box = mask(phone).convert("L").point(half).getbbox()
    assert box
    assert abs((box[2] - box[0]) - SIDE / 4) <= 2  # half the pressure, half the width


def test_a_finished_picture_is_edited_and_keeps_what_is_not_painted(tab: BrowserTab) -> None:
    page = tab.open()
    tab.draw("a red circle", seed=7)
    tab.finished()
    before = shown_picture(tab)

    page.locator("#denoising_strength").evaluate("input => { input.value = 0.9 }")
    page.click("text=Edit this picture")
    page.wait_for_selector("#editor:not([hidden])")
    tab.until("document.activeElement.id === 'paint'")
    found = [page.input_value(f"#{name}") for name in ("prompt", "seed", "W", "denoising_strength")]
    assert found == ["a red circle", "", "128", "0.5"]
    page.locator("#brush").fill("50")
    paint_left(tab)
    page.fill("#mask_blur", "0")
    page.locator("#denoising_strength").fill("1")
    tab.draw("a white house at night", seed=3)
    tab.finished()

    box = SIDE // 2 + 2, 0, SIDE, SIDE
    after = shown_picture(tab)
    assert after.crop(box).tobytes() == before.crop(box).tobytes()
    assert ImageChops.difference(after, before).getbbox()
    assert "Mask\nnot kept" in page.inner_text("#result .recipe")
    assert '"mask": "' in (page.text_content("#result .command") or "")
    tab.screenshot("editor-finished", whole=True)

    page.click("text=Use this recipe")  # of a job of this tab, so its mask is still there
    assert page.locator("#extras").is_hidden()
    assert part(mask(tab), 0, 0.49) == WHITE

    job = page.url.partition("#job=")[2]
    page.goto(f"{tab.url}/recent#{job}/0")
    page.click("#large >> text=Use this recipe")
    page.wait_for_selector("#extras:has-text('mask is not kept')")
    assert "hires" not in page.inner_text("#extras")
    assert page.locator("#editor").is_hidden()
