"""The requests of programs that speak OpenAI's images API, as their sources send them."""

import base64
import io
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from PIL import Image

from api.auth import DUMMY_KEY
from tests.api.conftest import HandWorker, painted
from tests.api.drawing import DrawingWorker

BEARER = {"Authorization": f"Bearer {DUMMY_KEY}"}
BASIC = {"Authorization": "Basic " + base64.b64encode(f"zoe:{DUMMY_KEY}".encode()).decode()}
FILE = painted((512, 512), "red", "png")


@pytest.fixture
def drawing(worker: HandWorker) -> Iterator[DrawingWorker]:
    with DrawingWorker(worker) as drawing:
        yield drawing


def pictures(answer: Any) -> list[Image.Image]:
    assert answer.status_code == 200, answer.text
    return [
        Image.open(io.BytesIO(base64.b64decode(image["b64_json"])))
        for image in answer.get_json()["data"]
    ]


def generate(client: FlaskClient, body: dict[str, Any], headers: dict[str, str] = BEARER) -> Any:
    return client.post("/v1/images/generations", json=body, headers=headers)


def edit(client: FlaskClient, name: str, count: int, **texts: str) -> Any:
    files = [(io.BytesIO(FILE), f"picture{number}.png") for number in range(count)]
    return client.post("/v1/images/edits", data={**texts, name: files}, headers=BEARER)


def test_open_webui(client: FlaskClient, drawing: DrawingWorker) -> None:
    headers = {**BEARER, "X-OpenWebUI-User-Name": "Zoe", "X-OpenWebUI-User-Id": "7f"}
    headers |= {"X-OpenWebUI-User-Email": "zoe@example.org", "X-OpenWebUI-User-Role": "user"}
    body = {"model": "dall-e-2", "prompt": "a cat", "n": 1, "size": "512x512"}
    answer = client.post(
        "/v1/images/generations?api-version=2024",
        json={**body, "response_format": "b64_json", "steps": 4, "negative_prompt": "dogs"},
        headers=headers,
    )
    assert [picture.size for picture in pictures(answer)] == [(512, 512)]
    assert (drawing.drawn[0].ddim_steps, drawing.drawn[0].negative_prompt) == (4, "dogs")

    texts = {"model": "tiny", "prompt": "a dog", "n": "1", "response_format": "b64_json"}
    assert len(pictures(edit(client, "image", 1, **texts))) == 1
    assert len(pictures(edit(client, "image[]", 2, **texts, size="512x512"))) == 1
    assert len(pictures(edit(client, "image", 1, **texts | {"model": ""}))) == 1
    assert client.get("/v1/models", headers=headers).status_code == 200


def test_librechat(client: FlaskClient, drawing: DrawingWorker) -> None:
    options = {
        "model": "gpt-image-1",
        "prompt": "a cat",
        "n": 1,
        "size": "auto",
        "quality": "auto",
        "background": "auto",
        "output_format": "png",
    }
    (picture,) = pictures(generate(client, options))
    assert picture.format == "PNG"

    texts = {"model": "gpt-image-1", "prompt": "a dog", "n": "1", "quality": "auto", "size": "auto"}
    assert len(pictures(edit(client, "image[]", 2, **texts))) == 1


def test_anythingllm(client: FlaskClient, drawing: DrawingWorker) -> None:
    body = {"model": "gpt-image-1", "prompt": "a cat", "n": 1, "size": "1024x1024"}
    assert [picture.size for picture in pictures(generate(client, body))] == [(1024, 1024)]


def test_nextcloud(client: FlaskClient, drawing: DrawingWorker) -> None:
    assert client.get("/v1/models", headers=BASIC).get_json()["data"][0]["id"] == "tiny"
    body = {"prompt": "a cat", "size": "1024x1024", "n": 2, "model": "tiny"}
    answer = generate(client, {**body, "response_format": "url"}, BASIC)
    for image in answer.get_json()["data"]:
        assert client.get(image["url"]).mimetype == "image/png"


def test_home_assistant(client: FlaskClient, drawing: DrawingWorker) -> None:
    body = {"prompt": "a cat", "model": "tiny", "response_format": "b64_json"}
    (picture,) = pictures(generate(client, body))
    picture.load()


def test_n8n(client: FlaskClient, drawing: DrawingWorker) -> None:
    body = {"prompt": "a cat", "model": "dall-e-3", "n": 1, "size": "1024x1024"}
    more = {"quality": "standard", "style": "vivid", "response_format": "b64_json"}
    answer = generate(client, body | more)
    assert [picture.size for picture in pictures(answer)] == [(1024, 1024)]
    warnings = answer.get_json()["warnings"]
    assert [warning.partition(":")[0] for warning in warnings] == ["model", "size"]
