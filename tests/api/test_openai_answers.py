"""The OpenAI dialect over HTTP: answers, addresses, keys, users, errors."""

import base64
import io
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from openai.types import ImagesResponse, Model
from PIL import Image

from api import create_app
from api.auth import DUMMY_KEY
from api.dialects.openai.answers import images_json
from api.dialects.openai.request_models import ImageOptions
from api.dialects.openai.translation import Translated
from api.settings import ApiSettings
from jobs.parameters.schemas import ImageToImage
from jobs.status import JobState, JobStatus, Result, StoredPicture
from tests.api.conftest import HandWorker, painted
from tests.api.drawing import DrawingWorker

GENERATIONS, EDITS = "/v1/images/generations", "/v1/images/edits"
BEARER = {"Authorization": f"Bearer {DUMMY_KEY}"}
BASIC = {"Authorization": "Basic " + base64.b64encode(f"zoe:{DUMMY_KEY}".encode()).decode()}
SMALL = {"prompt": "a red cat", "size": "512x512", "steps": 2}
FILE = painted((64, 64), "red", "png")


@pytest.fixture
def drawing(worker: HandWorker) -> Iterator[DrawingWorker]:
    with DrawingWorker(worker) as drawing:
        yield drawing


def post(client: FlaskClient, path: str = GENERATIONS, **sent: Any) -> Any:
    """The JSON of an answer; the body is JSON."""
    return client.post(path, json={**SMALL, **sent}, headers=BEARER).get_json()


def form(**sent: Any) -> dict[str, Any]:
    return {"prompt": "a red cat", **sent}


def file(data: bytes = FILE, name: str = "cat.png") -> tuple[io.BytesIO, str]:
    return io.BytesIO(data), name


def opened(data: str | bytes) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(data) if isinstance(data, str) else data))


def test_images_are_base64_by_default_and_the_answer_says_how_they_were_made(
    client: FlaskClient, drawing: DrawingWorker
) -> None:
    answer = client.post(GENERATIONS, json={**SMALL, "n": 2, "seed": 7}, headers=BEARER)

    assert answer.status_code == 200
    read = ImagesResponse.model_validate(answer.json)
    assert read.data and read.usage and read.usage.output_tokens_details
    pictures = [opened(image.b64_json or "") for image in read.data]
    assert [(picture.format, picture.size) for picture in pictures] == [("PNG", (512, 512))] * 2
    assert (read.size, read.output_format, read.background) == ("512x512", "png", "opaque")
    assert read.usage.input_tokens_details.text_tokens == 3
    assert read.usage.output_tokens == 2 * 32 * 32
    assert read.usage.total_tokens == read.usage.input_tokens + read.usage.output_tokens
    more: Any = answer.json
    assert (more["seeds"], more["warnings"]) == ([7, 8], [])
    assert answer.headers["X-Request-Id"] == more["id"]
    status: Any = client.get(f"/status/{more['id']}?images=false").json
    assert status["metadata"]["request"]["ddim_steps"] == 2


def test_two_requests_without_a_seed_have_different_ones(
    client: FlaskClient, drawing: DrawingWorker
) -> None:
    assert post(client)["seeds"] != post(client)["seeds"]


@pytest.mark.parametrize(
    ("quality", "answered"), [("hd", "high"), ("low", "low"), (None, "medium")]
)
def test_the_answer_has_the_quality_in_openai_s_words(
    client: FlaskClient, drawing: DrawingWorker, quality: str | None, answered: str
) -> None:
    assert post(client, steps=None, quality=quality)["quality"] == answered


def test_addresses_of_images_can_be_fetched_without_a_key(
    client: FlaskClient, drawing: DrawingWorker
) -> None:
    answer = post(client, n=2, response_format="url", output_format="jpeg")

    assert answer["output_format"] == "jpeg"
    for image in answer["data"]:
        assert image.keys() == {"url"}
        assert image["url"].startswith("http://localhost/images/")
        fetched = client.get(image["url"])
        assert (fetched.status_code, fetched.mimetype) == (200, "image/jpeg")
        assert opened(fetched.data).size == (512, 512)


@pytest.mark.parametrize(("proxies", "scheme"), [(0, "http"), (1, "https")])
def test_addresses_have_the_scheme_that_a_trusted_proxy_has_seen(
    settings: ApiSettings, worker: HandWorker, proxies: int, scheme: str
) -> None:
    behind = create_app(settings.model_copy(update={"trusted_proxies": proxies})).test_client()
    headers = {**BEARER, "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1"}
    with DrawingWorker(worker):
        body = {**SMALL, "response_format": "url"}
        answer: Any = behind.post(GENERATIONS, json=body, headers=headers).json

    assert answer["data"][0]["url"].startswith(f"{scheme}://localhost/images/")


def test_a_size_that_the_model_is_not_made_for_is_in_the_answer_with_a_warning(
    client: FlaskClient, drawing: DrawingWorker
) -> None:
    answer = post(client, size="1024x1024")

    assert answer["size"] == "1024x1024"
    assert opened(answer["data"][0]["b64_json"]).size == (1024, 1024)
    assert [warning.partition(":")[0] for warning in answer["warnings"]] == ["size"]
    assert (drawing.drawn[0].W, drawing.drawn[0].H) == (512, 512)


@pytest.mark.parametrize("name", ["image", "image[]"])
def test_an_edit_by_a_form_starts_from_its_image(
    client: FlaskClient, drawing: DrawingWorker, name: str
) -> None:
    data = form(**{name: file(), "n": "2", "size": "512x512", "seed": "7", "strength": "0.4"})

    answer: Any = client.post(EDITS, data={**data, "stream": "False"}, headers=BEARER).json

    assert (len(answer["data"]), answer["seeds"], answer["warnings"]) == (2, [7, 8], [])
    assert answer["usage"]["input_tokens_details"]["image_tokens"] == 32 * 32
    (job,) = drawing.drawn
    assert isinstance(job, ImageToImage)
    assert (job.seed, job.n_iter, job.denoising_strength) == (7, 2, 0.4)


@pytest.mark.parametrize(
    "images",
    [
        {"images": [{"image_url": "data:image/png;base64," + base64.b64encode(FILE).decode()}]},
        {"image": base64.b64encode(FILE).decode()},
    ],
)
def test_an_edit_by_json_starts_from_its_image(
    client: FlaskClient, drawing: DrawingWorker, images: dict[str, Any]
) -> None:
    assert len(post(client, EDITS, **images)["data"]) == 1
    assert drawing.drawn[0].kind == "img2img"


def test_a_form_reports_every_fault_as_json_does(client: FlaskClient, worker: HandWorker) -> None:
    data = form(image=file(b"no image"), n="many", wdith="3", mask=file())

    answer = client.post(EDITS, data=data, headers=BEARER)

    assert answer.status_code == 400
    error: Any = answer.json
    for name in ("image:", "n: 'many' is not an integer", "wdith:", "mask:"):
        assert name in error["error"]["message"]
    assert worker.queued() == 0


@pytest.mark.parametrize("headers", [BEARER, BASIC, {"X-API-Key": DUMMY_KEY}])
def test_a_key_comes_as_a_token_or_as_a_password(
    client: FlaskClient, worker: HandWorker, headers: dict[str, str]
) -> None:
    assert client.get("/v1/models", headers=headers).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer sk-wrong"}])
@pytest.mark.parametrize("path", [GENERATIONS, EDITS, "/v1/models", "/v1/models/tiny"])
def test_without_a_known_key_the_answer_is_401_before_the_body_is_read(
    client: FlaskClient, headers: dict[str, str], path: str
) -> None:
    method = client.get if "models" in path else client.post

    answer = method(path, headers=headers, **({} if "models" in path else {"data": b"{"}))

    error: Any = answer.json
    assert answer.status_code == 401
    assert error["error"].keys() == {"message", "type", "param", "code"}
    assert error["error"]["type"] == "invalid_request_error"
    assert error["error"]["code"] == "invalid_api_key"
    assert "WWW-Authenticate" in answer.headers


def test_the_models_are_listed_and_found_by_their_names(
    client: FlaskClient, worker: HandWorker
) -> None:
    listed: Any = client.get("/v1/models", headers=BEARER).json

    assert listed["object"] == "list"
    (model,) = [Model.model_validate(each) for each in listed["data"]]
    assert (model.id, model.object) == ("tiny", "model")
    for spelling in ("tiny", "tiny.ckpt", "default"):
        assert client.get(f"/v1/models/{spelling}", headers=BEARER).json == listed["data"][0]
    missing = client.get("/v1/models/acme/dreams", headers=BEARER)
    assert missing.status_code == 404
    assert missing.get_json()["error"]["code"] == "model_not_found"


@pytest.mark.parametrize(
    ("sent", "status", "param", "code"),
    [
        ({"prompt": None}, 400, "prompt", "missing_required_parameter"),
        ({"n": "2"}, 400, "n", "invalid_type"),
        ({"n": 0}, 400, "n", "invalid_value"),
        ({"n": 65}, 400, "n", "invalid_value"),
        ({"wdith": 64}, 400, "wdith", "unknown_parameter"),
        ({"model": "sd15"}, 404, "model", "model_not_found"),
        ({"model": "sd15", "n": 0}, 400, "n", "invalid_value"),
        ({"type": "standard"}, 503, None, "service_unavailable"),
    ],
)
def test_a_fault_has_openai_s_shape(
    client: FlaskClient,
    worker: HandWorker,
    sent: dict[str, Any],
    status: int,
    param: str | None,
    code: str,
) -> None:
    answer = client.post(GENERATIONS, json={**SMALL, **sent}, headers=BEARER)

    error = answer.get_json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (status, param, code)
    assert ("Retry-After" in answer.headers) == (status == 503)


def test_a_key_that_submits_too_often_gets_429_with_seconds(
    settings: ApiSettings, worker: HandWorker
) -> None:
    client = create_app(settings.model_copy(update={"rate_limit": "1/hour"})).test_client()
    with DrawingWorker(worker):
        client.post(GENERATIONS, json=SMALL, headers=BEARER)
    answer = client.post(GENERATIONS, json=SMALL, headers=BEARER)

    assert answer.status_code == 429
    assert answer.get_json()["error"]["code"] == "rate_limit_exceeded"
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    ("code", "status", "error_type"),
    [("bad_prompt", 400, "invalid_request_error"), ("out_of_memory", 500, "server_error")],
)
def test_a_job_that_fails_is_an_error_which_clients_do_not_repeat(
    client: FlaskClient, worker: HandWorker, code: str, status: int, error_type: str
) -> None:
    failing = threading.Thread(target=worker.fail, args=("it went wrong", code))
    failing.start()

    answer = client.post(GENERATIONS, json=SMALL, headers=BEARER)

    failing.join()
    assert answer.status_code == status
    assert answer.get_json()["error"] == {
        "message": "it went wrong",
        "type": error_type,
        "param": None,
        "code": code,
    }
    assert answer.headers["X-Should-Retry"] == "false"


def test_images_that_are_not_ready_in_time_are_an_error_and_their_job_is_cancelled(
    settings: ApiSettings, worker: HandWorker
) -> None:
    client = create_app(settings.model_copy(update={"sync_timeout": 0.05})).test_client()

    answer = client.post(GENERATIONS, json=SMALL, headers=BEARER)

    error = answer.get_json()["error"]
    assert (answer.status_code, error["code"]) == (504, "timeout")
    assert answer.headers["X-Should-Retry"] == "false"
    job = error["message"].rpartition("/status/")[2]
    assert client.get(f"/status/{job}").get_json()["State"] == "CANCELLED"
    assert worker.queued() == 0


def test_a_stream_ends_in_time_as_well(settings: ApiSettings, worker: HandWorker) -> None:
    client = create_app(settings.model_copy(update={"sync_timeout": 0.05})).test_client()

    with client.post(GENERATIONS, json={**SMALL, "stream": True}, headers=BEARER) as answer:
        assert answer.mimetype == "text/event-stream"
        event, data = answer.get_data(as_text=True).rstrip().splitlines()[-2:]

    assert event == "event: error"
    assert json.loads(data.removeprefix("data: "))["error"]["code"] == "timeout"
    assert worker.queued() == 0


def test_a_request_with_an_idempotency_key_can_be_repeated_after_the_wait(
    settings: ApiSettings, worker: HandWorker
) -> None:
    client = create_app(settings.model_copy(update={"sync_timeout": 0.05})).test_client()
    headers = {**BEARER, "Idempotency-Key": "one"}

    late = client.post(GENERATIONS, json=SMALL, headers=headers)
    worker.draw()
    ready: Any = client.post(GENERATIONS, json=SMALL, headers=headers).json

    assert late.status_code == 504
    assert "Idempotency-Key" in late.get_json()["error"]["message"]
    assert len(ready["data"]) == 1
    assert ready["id"] in late.get_json()["error"]["message"]


def test_the_users_of_a_key_take_turns(settings: ApiSettings, worker: HandWorker) -> None:
    client = create_app(settings.model_copy(update={"sync_timeout": 0.01})).test_client()

    def ask(prompt: str, **sent: Any) -> None:
        headers = {**BEARER, "Idempotency-Key": prompt, **sent.pop("headers", {})}
        client.post(GENERATIONS, json={**SMALL, "prompt": prompt, **sent}, headers=headers)

    for number in range(3):
        ask(f"zoe{number}", user="zoe")
    ask("adam", safety_identifier="adam", user="zoe")
    ask("eve", headers={"X-OpenWebUI-User-Id": "eve"})

    order = [worker.claim()[1].prompt for _ in range(5)]
    assert order[0] == "zoe0"
    assert set(order[:3]) == {"zoe0", "adam", "eve"}


def test_the_answer_repeats_the_identifier_of_the_user(
    client: FlaskClient, drawing: DrawingWorker
) -> None:
    assert post(client, safety_identifier="zoe")["safety_identifier"] == "zoe"
    assert post(client, user="adam")["safety_identifier"] == "adam"
    assert "safety_identifier" not in post(client)


def test_a_page_of_another_origin_may_read_errors_and_answers(
    settings: ApiSettings, worker: HandWorker
) -> None:
    client = create_app(settings.model_copy(update={"cors_origins": ("*",)})).test_client()

    answer = client.get("/v1/models", headers={"Origin": "https://app.example"})

    assert answer.status_code == 401
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_a_comparison_has_the_address_of_its_grid_as_it_has_its_base64() -> None:
    one = StoredPicture(name="one.png", width=64, height=64, index=0, seed=1)
    grid = StoredPicture(name="grid.png", width=128, height=64)
    status = JobStatus(
        job_id="j",
        kind="txt2img",
        type="optimized",
        state=JobState.SUCCESS,
        request={"prompt": "a cat", "negative_prompt": "", "W": 64, "H": 64},
        model="tiny",
        submitted=1.0,
        result=Result(images=(one,), grid=grid, format="png", timings={}),
    )
    options = ImageOptions(prompt="a cat", response_format="url")
    request = Translated("txt2img", {}, options, (), {}, {})

    answer = images_json(status, request, pictures=[], base_url="http://host")

    addresses = [image["url"] for image in answer["data"]]
    assert addresses == ["http://host/images/j/0", "http://host/images/j/grid"]
