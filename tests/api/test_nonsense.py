"""Whatever is sent is answered as somebody's fault, and never as ours."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from api import create_app
from api.auth import DUMMY_KEY
from api.settings import ApiSettings
from tests.api.conftest import HandWorker
from tests.api.malformed import PICTURE, encoded

KEY = {"X-API-Key": DUMMY_KEY}
Post = Callable[..., int]

# The fixtures stand for all examples: one API, one worker, one folder.
on_one_api = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
NAMES = st.sampled_from(["prompt", "type", "ckpt", "outdir", "seed", "H", "api_key", "from-file"])
PROMPT_PARTS = st.sampled_from(
    ["(", ")", "[", "]", ":", "\\", ",", " ", "0.5", "-1", "1e9", "1e999", "nan", "cat", "é", "😀"]
)
FOLDER_PARTS = st.sampled_from(
    ["..", ".", "/", "\\", "%2e", "~", "a", "a" * 70, "\0", " ", "é", "\ud800", "C:", "s3://", "\n"]
)
PICTURES = tuple(
    base64.b64decode(text)
    for text in (
        PICTURE,
        encoded(Image.new("RGB", (40, 40), "red"), "JPEG"),
        encoded(Image.new("RGBA", (40, 40), "red"), "WEBP"),
        encoded(Image.new("P", (9, 9)), transparency=0),
    )
)


@pytest.fixture
def client(settings: ApiSettings, worker: HandWorker) -> FlaskClient:
    """An API that takes any number of requests."""
    endless = {"rate_limit": "none", "max_waiting": 0, "max_waiting_per_key": 0}
    return create_app(settings.model_copy(update=endless)).test_client()


@pytest.fixture
def post(client: FlaskClient) -> Post:
    """Posts a body and says with which code it was answered, having seen to the rest."""

    def post(body: bytes | dict[str, Any], path: str = "/generate") -> int:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = client.post(path, data=data, content_type="application/json", headers=KEY)
        assert answer.status_code in (202, 400), answer.text
        said = json.loads(answer.text, parse_constant=pytest.fail)
        assert DUMMY_KEY not in answer.text
        if answer.status_code == 400:
            assert said.keys() == {"error", "details"}
            assert said["error"]
        return answer.status_code

    return post


@on_one_api
@given(body=st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode("utf-8")))
@example(body=b"\xef\xbb\xbf")
@example(body=b'{"prompt":"\xed\xa0\x80"}')
def test_any_bytes_for_a_body(post: Post, body: bytes) -> None:
    post(body)


@on_one_api
@given(
    value=st.dictionaries(NAMES | st.text(max_size=9), JSON, max_size=6) | JSON,
    path=st.sampled_from(["/generate", "/img2img"]),
    cut=st.integers(0, 400),
)
def test_any_json_for_a_body_whole_or_cut_off(
    post: Post, value: object, path: str, cut: int
) -> None:
    whole = json.dumps(value).encode()
    post(whole, path)
    post(whole[:cut], path)


@on_one_api
@given(prompt=st.text() | st.lists(PROMPT_PARTS, max_size=40).map("".join))
@example(prompt="(" * 5000 + ")" * 5000)
@example(prompt="[" * 10_000)
@example(prompt="a:1 " * 4000)
@example(prompt="\\" * 19_999)
def test_any_text_for_a_prompt(post: Post, prompt: str) -> None:
    post({"prompt": prompt, "negative_prompt": prompt[::-1]})


@on_one_api
@given(folder=st.text(max_size=80) | st.lists(FOLDER_PARTS, max_size=12).map("".join))
def test_any_text_for_a_folder_stays_below_the_root(
    post: Post, settings: ApiSettings, folder: str
) -> None:
    if post({"prompt": "a", "outdir": folder}) == 202:
        root = Path(settings.outputs).resolve()
        assert (root / folder).resolve().is_relative_to(root)
    assert not [path for path in settings.data_dir.rglob("*") if path.is_file()]


@on_one_api
@given(text=st.text(max_size=60) | st.binary(max_size=60).map(base64.b64encode))
def test_any_text_for_an_image(post: Post, text: str | bytes) -> None:
    sent = text.decode() if isinstance(text, bytes) else text
    assert post({"prompt": "a", "init_img": sent}, "/img2img") == 400


@on_one_api
@given(data=st.data())
def test_a_picture_with_wrong_bytes(post: Post, data: st.DataObject) -> None:
    picture = bytearray(data.draw(st.sampled_from(PICTURES)))
    for _ in range(data.draw(st.integers(1, 8))):
        picture[data.draw(st.integers(0, len(picture) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(picture)))
    sent = base64.b64encode(picture[:end] if data.draw(st.booleans()) else picture).decode()
    post({"prompt": "a", "init_img": sent}, "/img2img")
