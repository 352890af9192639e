"""POST /sdapi/v1/extra-single-image and /extra-batch-images without a network."""

import base64
import io
from threading import Thread
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from jobs.pictures.output_formats import OUTPUT_FORMATS
from jobs.status import Failure
from tests.api.a1111.conftest import Caller, encoded, opened


def extra(caller: Caller, **fields: Any) -> dict[str, Any]:
    answer = caller.post("extra-single-image", {"image": encoded((40, 60), "red"), **fields})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


@pytest.mark.parametrize("upscaler", ["Lanczos", "Nearest"])
def test_a_picture_becomes_larger_by_a_factor(caller: Caller, upscaler: str) -> None:
    answer = extra(caller, upscaler_1=upscaler, upscaling_resize=2.5)

    assert opened(answer["image"]).size == (100, 150)
    assert upscaler in answer["html_info"]
    assert answer["warnings"] == []


@pytest.mark.parametrize(("crop", "size"), [(True, (100, 50)), (False, (100, 150))])
def test_a_picture_is_brought_to_a_size(caller: Caller, crop: bool, size: tuple[int, int]) -> None:
    answer = extra(
        caller,
        upscaler_1="Lanczos",
        resize_mode=1,
        upscaling_resize_w=100,
        upscaling_resize_h=50,
        upscaling_crop=crop,
    )

    assert opened(answer["image"]).size == size


def test_without_an_upscaler_the_size_stays(caller: Caller) -> None:
    answer = extra(caller, upscaling_resize=4)

    assert opened(answer["image"]).size == (40, 60)
    assert "No upscaler was chosen" in answer["html_info"]


def test_the_parameters_of_the_picture_are_kept(caller: Caller) -> None:
    info = PngInfo()
    info.add_text("parameters", "a cat\nSteps: 3")
    file = io.BytesIO()
    Image.new("RGB", (20, 20)).save(file, "PNG", pnginfo=info)
    picture = base64.b64encode(file.getvalue()).decode()

    answer = extra(caller, image=picture, upscaler_1="Lanczos")

    assert opened(answer["image"]).info["parameters"] == "a cat\nSteps: 3"


@pytest.mark.parametrize("upscaler", ["None", "Lanczos", "Upscaler"])
def test_the_picture_has_the_format_of_the_keys_options(caller: Caller, upscaler: str) -> None:
    caller.post("options", {"samples_format": "webp", "jpeg_quality": 40})
    if upscaler != "Upscaler":
        assert opened(extra(caller, upscaler_1=upscaler)["image"]).format == "WEBP"
        return
    asked: list[tuple[str, int]] = []

    def fail() -> None:
        claim, request = caller.worker.claim()
        asked.append((request.format, request.jpeg_quality))
        caller.worker.claims.fail(claim, Failure(code="out_of_memory", message="as it happens"))

    failing = Thread(target=fail)
    failing.start()
    body = {"image": encoded((40, 60)), "upscaler_1": upscaler}
    assert caller.post("extra-single-image", body).status_code == 500
    failing.join()
    assert asked == [("webp", 40)]


def test_a_picture_too_long_for_the_format_is_a_png(caller: Caller) -> None:
    caller.post("options", {"samples_format": "webp"})

    answer = extra(caller, image=encoded((OUTPUT_FORMATS["webp"].max_side + 1, 8)))

    assert opened(answer["image"]).format == "PNG"


def test_several_pictures_at_once(caller: Caller) -> None:
    pictures = [{"data": encoded((20, 20)), "name": "a"}, {"data": encoded((30, 20)), "name": "b"}]

    answer = caller.post(
        "extra-batch-images", {"imageList": pictures, "upscaler_1": "Nearest"}
    ).get_json()

    assert [opened(image).size for image in answer["images"]] == [(40, 40), (60, 40)]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"image": "no picture"}, "image"),
        ({"upscaling_resize": 64}, "upscaling_resize"),
        ({"resize_mode": 1, "upscaling_resize_w": 9999}, "upscaling_resize_w"),
        ({"gfpgan_visibility": 2}, "gfpgan_visibility"),
    ],
)
def test_a_wrong_value_is_a_422(caller: Caller, fields: dict[str, Any], field: str) -> None:
    body = {"image": encoded((99, 99)), "upscaler_1": "Lanczos", **fields}

    answer = caller.post("extra-single-image", body)

    assert answer.status_code == 422
    assert answer.get_json()["detail"][0]["loc"] == ["body", field]


def test_a_factor_that_the_upscaler_cannot_follow_is_named(caller: Caller) -> None:
    body = {"image": encoded((99, 99)), "upscaler_1": "Upscaler", "upscaling_resize": 0.5}

    (fault,) = caller.post("extra-single-image", body).get_json()["detail"]

    assert (fault["loc"], fault["input"]) == (["body", "upscaling_resize"], 0.5)
    assert "sides of 64" in fault["msg"]
