"""What is no request at all: bodies that are not one JSON object."""

import gzip
import io
import json
import tracemalloc

import pytest
from flask.testing import FlaskClient

from api.auth import DUMMY_KEY
from tests.api.conftest import HandWorker

KEY = {"X-API-Key": DUMMY_KEY}
PROMPTS = {"prompt", "negative_prompt"}


def post(client: FlaskClient, body: bytes, content_type: str | None = "application/json"):
    return client.post("/generate", data=body, content_type=content_type, headers=KEY)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "not valid JSON"),
        (b'{"prompt":"a"} x', "not valid JSON"),
        (b'{"prompt":"a"', "not valid JSON"),
        (b"[]", "not a list"),
        (b"null", "not null"),
        (b'"x"', "not a string"),
        (b"1", "not a number"),
        (b"true", "not true or false"),
        (b"[" * 50_000, "nested deeper"),
        (b'{"a":' * 50_000, "nested deeper"),
        (b'{"a":' * 9 + b"1" + b"}" * 9, "nested deeper"),
        (b'{"W":64,"W":512}', '"W" twice'),
        (b'{"ckpt":{"a":"x","a":"y"}}', '"a" twice'),
        (b"\xff\xfe", "not UTF-8"),
        ('{"prompt":"a"}'.encode("utf-16"), "not UTF-8"),
        (b'{"\\ud800":1,"prompt":"a"}', "not valid text"),
        (b'{"scale":NaN}', "NaN is not a JSON number"),
        (b'{"scale":-Infinity}', "-Infinity is not a JSON number"),
        (b'{"seed":' + b"9" * 5000 + b"}", "number too long"),
    ],
)
def test_a_body_that_is_not_one_json_object_is_refused_with_the_reason(
    client: FlaskClient, body: bytes, problem: str
) -> None:
    answer = post(client, body)

    assert answer.status_code == 400
    assert problem in answer.get_json()["error"]


@pytest.mark.parametrize(
    "much",
    [
        b'{"prompt":"a","x":[' + b"[]," * 60_000 + b"1]}",
        b'{"prompt":"a","x":[' + b"{}," * 60_000 + b"1]}",
        b'{"prompt":"a","x":[' + b"1," * 100_001 + b"1]}",
        b'{"prompt":"' + b"," * 100_001 + b'"}',
    ],
    ids=["lists", "objects", "numbers", "commas in a string"],
)
def test_more_structure_than_a_request_can_need_is_refused(
    client: FlaskClient, much: bytes
) -> None:
    answer = post(client, much)

    assert answer.status_code == 400
    assert answer.get_json()["details"] == []
    assert "more than 100000 commas and opening brackets" in answer.get_json()["error"]


@pytest.mark.parametrize("char", ["\U0001f409", "龍", '"', "\\", ",", "[", "("])
def test_the_longest_prompts_have_not_too_much_structure(
    client: FlaskClient, worker: HandWorker, char: str
) -> None:
    longest = char * 20_000
    answer = post(client, json.dumps({"prompt": longest, "negative_prompt": longest}).encode())

    assert answer.status_code in (202, 400)  # the grammar may refuse it, but by its field
    if answer.status_code == 400:
        assert {fault["field"] for fault in answer.get_json()["details"]} <= PROMPTS
        assert answer.get_json()["details"]


@pytest.mark.parametrize("escape", [b"\\n", b"\\/"])
def test_base64_as_php_or_in_short_lines_has_not_too_much_structure(
    client: FlaskClient, worker: HandWorker, escape: bytes
) -> None:
    answer = post(client, b'{"prompt":"a","webhook":"' + escape * 100_001 + b'"}')

    # read, and judged by its field
    assert [fault["field"] for fault in answer.get_json()["details"]] == ["webhook"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"prompt":"a","scale":1e400}',
        b'{"prompt":"a","seed":' + b"9" * 4000 + b"}",
        b'{"prompt":"\\ud800"}',
        b'{"prompt":"a\\u0000b"}',
    ],
)
def test_json_with_impossible_values_is_a_fault_of_a_field(
    client: FlaskClient, worker: HandWorker, body: bytes
) -> None:
    answer = post(client, body)

    assert answer.status_code == 400
    assert len(answer.get_json()["details"]) == 1


def test_a_byte_order_mark_does_no_harm(client: FlaskClient, worker: HandWorker) -> None:
    assert post(client, b'\xef\xbb\xbf{"prompt":"a"}').status_code == 202


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None]
)
def test_a_body_that_does_not_say_it_is_json_is_refused(
    client: FlaskClient, content_type: str | None
) -> None:
    assert post(client, b'{"prompt":"a"}', content_type).status_code == 415


def test_what_curl_sends_by_itself_is_refused_with_the_option_that_it_lacks(
    client: FlaskClient,
) -> None:
    answer = post(client, b'{"prompt":"a"}', "application/x-www-form-urlencoded")

    assert answer.status_code == 415
    assert "-H 'Content-Type: application/json'" in answer.get_json()["error"]


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json; charset=utf-8",
        'Application/JSON;charset="UTF-8"',
        "APPLICATION/JSON",
        "application/vnd.api+json",
    ],
)
def test_json_may_be_named_as_people_do(
    client: FlaskClient, worker: HandWorker, content_type: str
) -> None:
    assert post(client, b'{"prompt":"a"}', content_type).status_code == 202


def coded(client: FlaskClient, body: bytes, coding: str):
    return client.post(
        "/generate",
        data=body,
        content_type="application/json",
        headers={"Content-Encoding": coding, **KEY},
    )


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "x-gzip"])
def test_a_gzip_body_is_read(client: FlaskClient, worker: HandWorker, coding: str) -> None:
    assert coded(client, gzip.compress(b'{"prompt":"a"}'), coding).status_code == 202
    assert coded(client, b'{"prompt":"a"}', "identity").status_code == 202


def test_a_gzip_body_is_bounded_by_its_content(client: FlaskClient, worker: HandWorker) -> None:
    bomb = gzip.compress(b'{"prompt":"' + b"a" * 200 * 1024**2 + b'"}')
    tracemalloc.start()
    try:
        answer = coded(client, bomb, "gzip")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert answer.status_code == 413
    assert "1 MiB uncompressed" in answer.get_json()["error"]
    assert peak < 8 * 1024**2


@pytest.mark.parametrize(
    "body",
    [
        b'{"prompt":"a"}',
        gzip.compress(b'{"prompt":"a"}')[:-6],
        gzip.compress(b'{"prompt":"a"}') * 2,
        b"",
    ],
    ids=["no gzip", "cut off", "two members", "empty"],
)
def test_a_broken_gzip_body_is_said_so(client: FlaskClient, body: bytes) -> None:
    answer = coded(client, body, "gzip")

    assert answer.status_code == 400
    assert "gzip" in answer.get_json()["error"]


@pytest.mark.parametrize("coding", ["br", "deflate", "zstd", "gzip, gzip"])
def test_another_coding_is_refused_in_its_own_words(client: FlaskClient, coding: str) -> None:
    answer = coded(client, b"anything", coding)

    assert answer.status_code == 415
    assert answer.get_json()["error"] == (
        f"Content-Encoding: {coding} is not read: send gzip, or none"
    )


@pytest.mark.parametrize(
    "path",
    [
        "/templates/",
        "/models/",
        "/capabilities/",
        "/healthz/",
        "/recent/",
        "/workers/",
        "/metrics/",
    ],
)
def test_a_slash_at_the_end_changes_nothing(
    client: FlaskClient, worker: HandWorker, path: str
) -> None:
    plain = client.get(path.removesuffix("/"), headers=KEY)

    assert client.get(path, headers=KEY).status_code == plain.status_code == 200


@pytest.mark.parametrize("path", ["/generate/", "/img2img/"])
def test_a_request_to_submit_keeps_its_body_behind_a_slash(
    client: FlaskClient, worker: HandWorker, path: str
) -> None:
    answer = client.post(path, json={"prompt": "a", "W": 65}, headers=KEY)

    assert answer.status_code == 400
    assert "W" in {fault["field"] for fault in answer.get_json()["details"]}
    if path == "/generate/":
        location = client.post(path, json={"prompt": "a"}, headers=KEY).headers["Location"]
        assert client.get(f"{location}/").get_json()["State"] == "PENDING"
        assert client.delete(f"{location}/", headers=KEY).status_code == 200


@pytest.mark.parametrize(
    "path", ["///generate", "/v1//images/generations", "/v1///images//edits", "/sdapi//v1/txt2img"]
)
def test_a_base_address_that_ends_in_a_slash_is_not_redirected(
    client: FlaskClient, path: str
) -> None:
    """A redirect would come before the body is read, and clients that still send would fail."""
    answer = client.post(path, json={"height": "tall"}, headers=KEY)

    assert answer.status_code in (400, 422), answer.text
    assert "height" in answer.text


@pytest.mark.parametrize(
    ("method", "path", "words"),
    [
        ("GET", "/generate", "GET is not allowed here: use POST"),
        ("PUT", "/generate/", "PUT is not allowed here: use POST"),
        ("POST", "/status/x", "POST is not allowed here: use DELETE or GET"),
        ("DELETE", "/models", "DELETE is not allowed here: use GET"),
    ],
)
def test_a_wrong_method_is_answered_with_the_right_ones(
    client: FlaskClient, method: str, path: str, words: str
) -> None:
    answer = client.open(path, method=method)

    assert (answer.status_code, answer.get_json()["error"]) == (405, words)
    assert "Allow" in answer.headers


@pytest.mark.parametrize("path", ["/", "/templates", "/healthz", "/openapi.json"])
def test_head_and_options_are_answered(client: FlaskClient, path: str) -> None:
    assert client.head(path).status_code == 200
    assert client.head(path).data == b""
    assert "GET" in client.options(path).headers["Allow"]


def test_a_body_over_the_limit_is_refused_whether_its_length_is_announced_or_not(
    client: FlaskClient, worker: HandWorker
) -> None:
    too_long = b'{"prompt":"' + b"a" * 1024**2 + b'"}'

    assert post(client, too_long).status_code == 413
    chunked = client.post(
        "/generate",
        input_stream=io.BytesIO(too_long),
        content_type="application/json",
        headers={"Transfer-Encoding": "chunked", **KEY},
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert chunked.status_code == 413


def test_a_chunked_body_within_the_limit_is_read(client: FlaskClient, worker: HandWorker) -> None:
    answer = client.post(
        "/generate",
        input_stream=io.BytesIO(b'{"prompt":"a"}'),
        content_type="application/json",
        headers={"Transfer-Encoding": "chunked", **KEY},
        environ_overrides={"wsgi.input_terminated": True},
    )

    assert answer.status_code == 202


def test_an_unknown_address_and_a_wrong_method_are_answered_in_json(client: FlaskClient) -> None:
    for answer in (client.get("/nothing"), client.get("/generate"), client.post("/status/x")):
        assert answer.status_code in (404, 405)
        assert answer.get_json().keys() == {"error", "details"}
