"""The parameters of a mask: what is stored of it, and what is refused."""

import base64
import io
import json
from typing import Any

import pytest
from PIL import Image

from jobs.errors import Fault, InvalidRequest
from jobs.limits import Limits
from jobs.validation.model_choice import InstalledModels
from jobs.validation.request import ImageToImage, parse_request
from jobs.validation.stored_request import read_stored


def encoded(image: Image.Image, format_: str = "PNG", **options: Any) -> str:
    data = io.BytesIO()
    image.save(data, format_, **options)
    return base64.b64encode(data.getvalue()).decode()


RED = Image.new("RGB", (24, 16), "red")
STROKES = Image.new("RGBA", (24, 16), (0, 0, 0, 0))
STROKES.paste((0, 0, 255, 255), (4, 4, 12, 12))


def request(**body: Any) -> ImageToImage:
    parsed = parse_request("img2img", {"prompt": "a", "init_img": encoded(RED), **body})
    assert isinstance(parsed, ImageToImage)
    return parsed


def fault(**body: Any) -> Fault:
    with pytest.raises(InvalidRequest) as refused:
        request(**body)
    (found,) = refused.value.faults
    return found


def stored_mask(image: Image.Image, **options: Any) -> Image.Image:
    mask = Image.open(io.BytesIO(request(mask=encoded(image, **options)).mask or b""))
    assert mask.mode == "L"
    return mask


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "I;16", "RGBA"])
def test_a_mask_is_stored_as_its_brightness(mode: str) -> None:
    mask = Image.new("L", (24, 16))
    mask.paste(255, (0, 0, 10, 16))
    sent = mask.convert("I").point(lambda value: value * 257) if mode == "I;16" else mask
    assert stored_mask(sent.convert(mode)).tobytes() == mask.tobytes()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_of_a_mask_with_transparency_its_opacity_counts(mode: str) -> None:
    sent = STROKES.convert("RGBA").quantize() if mode == "P" else STROKES.convert(mode)
    assert stored_mask(sent).tobytes() == STROKES.getchannel("A").tobytes()


def test_a_mask_is_turned_as_its_orientation_says() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert stored_mask(RED.convert("L"), format_="JPEG", exif=exif).size == (16, 24)


def test_transparent_pixels_keep_their_colours_where_transparency_is_the_mask() -> None:
    see_through = RED.copy()
    see_through.putalpha(STROKES.getchannel("A"))
    kept = Image.open(
        io.BytesIO(request(init_img=encoded(see_through), mask_from_alpha=True).init_img)
    )
    assert kept.tobytes() == see_through.tobytes()
    on_white = Image.open(io.BytesIO(request(init_img=encoded(see_through)).init_img))
    assert on_white.getpixel((0, 0)) == (255, 255, 255)


def test_one_mask_at_most() -> None:
    both = fault(init_img=encoded(STROKES), mask=encoded(RED.convert("L")), mask_from_alpha=True)
    assert (both.field, both.code) == ("mask_from_alpha", "two_masks")
    opaque = fault(mask_from_alpha=True)
    assert (opaque.field, opaque.code) == ("init_img", "no_transparency")


@pytest.mark.parametrize(
    ("extend", "problem"),
    [
        ({"left": 64}, "is too large: W with left + right is 576"),
        ({"top": 8, "bottom": 8}, "is too large: H with top + bottom is 528"),
        ({"left": 4}, "has a side that cannot be added"),
        ({"left": -8}, "has a side that cannot be added"),
        ({"left": 8.5}, "has a side that is no integer"),
        ({"left": True}, "has a side that is no integer"),
        ({"up": 8}, "is no object with left, right, top and bottom"),
        ({}, "is no object with left, right, top and bottom"),
        ([8, 8, 8, 8], "is no object with left, right, top and bottom"),
    ],
)
def test_what_cannot_be_added_is_said(extend: object, problem: str) -> None:
    found = fault(extend=extend, ddim_steps=1)
    assert (found.field, found.problem) == ("extend", problem)
    assert found.expected
    json.dumps(found.value)


def test_what_is_added_counts_as_work_and_in_the_size() -> None:
    extended = request(W=256, H=128, extend={"left": 64, "right": 32.0, "top": 8})
    assert extended.sampled_size == (352, 136)
    assert (extended.added, extended.masked) == ((64, 8, 32, 0), True)
    assert request().sampled_size == (512, 512)
    limits = Limits(max_work=2 * 256 * 256 * 10)
    body = {"prompt": "a", "init_img": encoded(RED), "W": 256, "H": 256, "ddim_steps": 10}
    parse_request("img2img", body, limits=limits)
    with pytest.raises(InvalidRequest) as refused:
        parse_request("img2img", {**body, "extend": {"left": 8}}, limits=limits)
    assert refused.value.faults[0].code == "too_expensive"


def test_a_larger_model_lets_more_be_added() -> None:
    models = InstalledModels(default="big", names=["big"], native_sizes={"big": 768})
    body = {"prompt": "a", "init_img": encoded(RED), "extend": {"left": 256}}
    assert parse_request("img2img", body, models=models).sampled_size == (768, 512)


def test_a_picture_of_which_a_part_is_generated_keeps_its_size() -> None:
    part = request(mask=encoded(RED.convert("L")), mask_area="masked", W=256, extend={"top": 1024})
    assert part.sampled_size == (256, 512)
    assert part.result_size((1600, 1200)) == (1600, 2224)
    assert request(mask_area="masked", W=256).result_size((1600, 1200)) == (256, 512)


@pytest.mark.parametrize(
    ("body", "max_output_pixels", "field"),
    [
        ({}, 10 * RED.width * RED.height, None),
        ({}, RED.width * RED.height - 1, "init_img"),
        ({"n_samples": 2}, 2 * RED.width * RED.height - 1, "init_img"),
        ({"post_upscale": True}, 4 * RED.width * RED.height - 1, "init_img"),
        ({"extend": {"left": 8}}, (RED.width + 7) * RED.height, "init_img"),
        ({"upscale": True}, 10 * RED.width * RED.height, "upscale"),
        ({"mask": None}, 1, None),
        ({"mask": None, "upscale": True}, 1, None),
    ],
)
def test_the_size_of_such_a_picture_has_a_limit(
    body: dict[str, Any], max_output_pixels: int, field: str | None
) -> None:
    sent = {"prompt": "a", "init_img": encoded(RED), "mask": encoded(RED), "mask_area": "masked"}
    try:
        parse_request(
            "img2img",
            sent | {"n_iter": 1} | body,
            limits=Limits(max_output_pixels=max_output_pixels),
        )
    except InvalidRequest as refused:
        assert [each.field for each in refused.faults] == [field]
        assert refused.faults[0].expected
    else:
        assert field is None


def test_a_masked_job_is_read_back_from_its_record() -> None:
    sent = request(mask=encoded(RED.convert("L")), mask_blur=3, extend={"top": 0}, W=256)
    stored = json.loads(json.dumps(sent.settled(model="tiny", seed=1).stored()))
    assert "mask" not in stored
    again = read_stored("img2img", stored, ("init", "mask"))
    assert isinstance(again, ImageToImage)
    assert (again.inputs, again.masked, again.mask_blur) == ({"init": b"", "mask": b""}, True, 3)
    assert not ImageToImage.model_validate(
        {**read_stored("img2img", stored, ("init",)).model_dump(by_alias=True)}
    ).masked


def test_a_mask_is_never_repeated_in_an_error() -> None:
    wrong = fault(mask="bm8gaW1hZ2U=")
    assert (wrong.field, wrong.code, wrong.value) == ("mask", "not_an_image", None)
