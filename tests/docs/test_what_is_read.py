"""What the pages say is read, and what is not, each tried for real."""

import base64
import gzip
import io
import re
import zlib

import pytest
from flask.testing import FlaskClient
from PIL import Image
from pydantic_core import PydanticCustomError

from api import create_app
from api.auth import DUMMY_KEY
from api.settings import ApiSettings
from jobs.pictures.init_image import read_init_image
from jobs.pictures.picture_formats import FORMATS, IN_WORDS
from sd_client import parameters
from tests.docs.pages import HTTP_API, PARAMETERS


def listed(pattern: str, text: str) -> list[str]:
    """The names of a list in a sentence."""
    found = re.search(pattern, " ".join(text.split()))
    assert found, pattern
    return re.split(r", | or | and ", found[1])


READ = listed(r"`init_img`\*\* is a picture as base64: ([^.]*)\.", PARAMETERS.read_text())
REFUSED = listed(r"Other formats are refused by name: ([^.]*)\.", PARAMETERS.read_text())
BEGINNINGS = {"SVG": b"<svg>", "PSD": b"8BPS\0\1", "EPS": b"%!PS-Adobe-3.0 EPSF-3.0"}
CODINGS = listed(r"unpacked; ([^.]*) get 415", HTTP_API.read_text())


def test_the_page_the_service_and_the_client_have_one_list() -> None:
    assert list(FORMATS) == READ
    assert parameters.FORMATS == IN_WORDS


def picture(name: str) -> bytes:
    """A small picture in a format that Pillow writes."""
    data = io.BytesIO()
    pillow_name = {"HEIC": "HEIF", "JPEG 2000": "JPEG2000"}.get(name, name)
    Image.new("RGB", (64, 64), "red").save(data, pillow_name)
    return data.getvalue()


@pytest.mark.parametrize("name", READ)
def test_every_format_that_the_page_lists_is_read(name: str) -> None:
    stored = read_init_image(base64.b64encode(picture(name)).decode(), 4096**2)
    assert Image.open(io.BytesIO(stored)).size == (64, 64)


@pytest.mark.parametrize("name", REFUSED)
def test_every_format_that_the_page_excludes_is_refused_by_its_name(name: str) -> None:
    data = BEGINNINGS[name] if name in BEGINNINGS else picture(name)
    with pytest.raises(PydanticCustomError, match=name):
        read_init_image(base64.b64encode(data).decode(), 4096**2)


@pytest.fixture(scope="module")
def client() -> FlaskClient:
    return create_app(ApiSettings(api_keys=(DUMMY_KEY,))).test_client()


def status_of(client: FlaskClient, body: bytes, coding: str) -> int:
    return client.post(
        "/generate",
        data=body,
        content_type="application/json",
        headers={"X-API-Key": DUMMY_KEY, "Content-Encoding": coding},
    ).status_code


def test_gzip_is_read_and_the_codings_that_the_page_names_are_not(client: FlaskClient) -> None:
    assert len(CODINGS) == 3
    assert status_of(client, gzip.compress(b"[]"), "gzip") == 400  # read: a list is no request
    for coding in CODINGS:
        assert status_of(client, zlib.compress(b"[]"), coding.strip("`")) == 415
