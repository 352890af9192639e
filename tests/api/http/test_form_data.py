"""Bodies of multipart/form-data: what is no form, and what is too large."""

import gzip

import pytest
from flask.testing import FlaskClient

from api.auth import DUMMY_KEY
from api.http.form_data import MAX_PARTS
from tests.api.conftest import HandWorker

KEY = {"Authorization": f"Bearer {DUMMY_KEY}"}
FORM = "multipart/form-data; boundary=x"
END = b"--x--\r\n"


def part(name: bytes, data: bytes, file: bool = False) -> bytes:
    of_file = b'; filename="a.png"' if file else b""
    head = b'--x\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n' % (name, of_file)
    return head + data + b"\r\n"


def post(client: FlaskClient, body: bytes, content_type: str = FORM, **headers: str):
    return client.post(
        "/v1/images/edits", data=body, content_type=content_type, headers={**KEY, **headers}
    )


@pytest.mark.parametrize(
    ("body", "content_type", "status", "problem"),
    [
        (b"prompt=a", FORM, 400, "is not valid multipart/form-data"),
        (part(b"prompt", b"a"), FORM, 400, "is not valid multipart/form-data"),
        (part(b"prompt", b"a") + END, "multipart/form-data", 400, "no valid boundary"),
        (part(b"prompt", b"a") * (MAX_PARTS + 1) + END, FORM, 400, f"more than {MAX_PARTS} parts"),
        (part(b"prompt", b"a") * 2 + END, FORM, 400, '"prompt" twice'),
        (part(b"", b"a") + END, FORM, 400, "no name"),
        (part(b"n" * 300, b"a") + END, FORM, 400, "no name, or one of over 256"),
        (part(b"image", b"a" * 1024**2, file=True) + END, FORM, 413, "larger than 1 MiB"),
        (b"prompt=a", "application/x-www-form-urlencoded", 415, "must be JSON"),
    ],
)
def test_a_body_that_is_no_form_is_refused_with_the_reason(
    client: FlaskClient,
    worker: HandWorker,
    body: bytes,
    content_type: str,
    status: int,
    problem: str,
) -> None:
    answer = post(client, body, content_type)

    assert answer.status_code == status
    assert problem in answer.get_json()["error"]["message"]


@pytest.mark.parametrize("compressed", [False, True])
def test_a_form_is_read_compressed_or_not(
    client: FlaskClient, worker: HandWorker, compressed: bool
) -> None:
    form = part(b"prompt", "кот".encode()) + part(b"image", b"no image", file=True) + END
    body = gzip.compress(form) if compressed else form
    coding = {"Content-Encoding": "gzip"} if compressed else {}

    message = post(client, body, **coding).get_json()["error"]["message"]

    assert message.startswith("image: is not a PNG")
    assert "prompt" not in message


def test_a_compressed_form_is_not_unpacked_beyond_the_limit(
    client: FlaskClient, worker: HandWorker
) -> None:
    form = part(b"image", b"a" * 3 * 1024**2, file=True) + END
    answer = post(client, gzip.compress(form), **{"Content-Encoding": "gzip"})

    assert answer.status_code == 413
