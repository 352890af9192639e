"""POST /sdapi/v1/png-info."""

import base64
import io
from typing import Any

import pytest
from flask.testing import FlaskClient
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from api.auth import DUMMY_KEY
from jobs.pictures.output_formats import OUTPUT_FORMATS, encode
from tests.api.a1111.conftest import basic

INFOTEXT = """\
a cat, "é": 中
in a hat
Negative prompt: dog: big
and small
Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.5, Seed: 3, Size: 512x768, \
Model hash: 0123456789, Model: "a, b", Clip skip: 2, Version: v1"""
FIELDS = {
    "Prompt": 'a cat, "é": 中\nin a hat',
    "Negative prompt": "dog: big\nand small",
    "Steps": "20",
    "Sampler": "DPM++ 2M",
    "Schedule type": "Karras",
    "CFG scale": "7.5",
    "Seed": "3",
    "Size-1": "512",
    "Size-2": "768",
    "Model hash": "0123456789",
    "Model": "a, b",
    "Clip skip": "2",
    "Version": "v1",
}


def post(client: FlaskClient, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    answer = client.post("/sdapi/v1/png-info", json=body, headers=basic(DUMMY_KEY))
    return answer.status_code, answer.get_json()


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def picture(picture_format: str, **more: Any) -> str:
    data = io.BytesIO()
    Image.new("RGB", (8, 8)).save(data, picture_format, **more)
    return base64_of(data.getvalue())


def exif(comment: bytes) -> Image.Exif:
    found = Image.Exif()
    found.get_ifd(0x8769)[0x9286] = comment
    return found


@pytest.mark.parametrize("picture_format", OUTPUT_FORMATS)
@pytest.mark.parametrize("prefix", ["", "data:image/png;base64,"])
def test_the_services_own_pictures_are_read(
    client: FlaskClient, picture_format: Any, prefix: str
) -> None:
    data = encode(Image.new("RGB", (8, 8)), picture_format, INFOTEXT)

    status, answer = post(client, {"image": prefix + base64_of(data)})

    assert status == 200
    assert (answer["info"], answer["parameters"]) == (INFOTEXT, FIELDS)


@pytest.mark.parametrize(
    "comment",
    [
        b"UNICODE\0" + INFOTEXT.encode("utf-16-be"),
        b"UNICODE\0" + INFOTEXT.encode("utf-16-le"),
        b"ASCII\0\0\0" + INFOTEXT.encode(),
    ],
)
def test_what_other_programs_write_into_jpeg_and_webp_is_read(
    client: FlaskClient, comment: bytes
) -> None:
    for picture_format in ("JPEG", "WEBP"):
        _, answer = post(client, {"image": picture(picture_format, exif=exif(comment))})
        assert answer["info"] == INFOTEXT


def test_the_other_texts_are_items(client: FlaskClient) -> None:
    texts = PngInfo()
    texts.add_text("parameters", "a cat")
    texts.add_text("Software", "GIMP", zip=True)
    texts.add_itxt("workflow", '{"é": 1}')

    _, answer = post(client, {"image": picture("PNG", pnginfo=texts)})

    assert answer["items"] == {"Software": "GIMP", "workflow": '{"é": 1}'}
    assert answer["parameters"]["Prompt"] == "a cat"


def test_a_picture_without_text_has_no_parameters(client: FlaskClient) -> None:
    assert post(client, {"image": picture("PNG")}) == (
        200,
        {"info": "", "items": {}, "parameters": {}},
    )


def a_lot_of_text(texts_in_it: int, characters: int) -> str:
    texts = PngInfo()
    for number in range(texts_in_it):
        texts.add_text(f"t{number}", "x" * characters, zip=True)
    return picture("PNG", pnginfo=texts)


@pytest.mark.parametrize(
    ("image", "code"),
    [
        ("", "not_an_image"),
        ("é", "not_base64"),
        (base64_of(b"no picture"), "not_an_image"),
        (base64_of(b"<svg xmlns='x'/>"), "not_an_image"),
        (base64_of(b"\x89PNG\r\n\x1a\n" + b"\0" * 40), "not_an_image"),
        ("https://example.org/cat.png", "not_base64"),
        (a_lot_of_text(9, 500_000), "too_long"),
        (a_lot_of_text(1, 2_000_000), "image_damaged"),
    ],
)
def test_what_is_no_picture_is_refused(client: FlaskClient, image: str, code: str) -> None:
    status, answer = post(client, {"image": image})

    (fault,) = answer["detail"]
    assert (status, fault["loc"], fault["type"]) == (422, ["body", "image"], code)
    assert fault["input"] is None


@pytest.mark.parametrize("body", [{}, {"image": 5}, {"image": None}])
def test_a_body_without_a_picture_is_refused(client: FlaskClient, body: dict[str, Any]) -> None:
    status, answer = post(client, body)

    assert (status, answer["detail"][0]["loc"]) == (422, ["body", "image"])
