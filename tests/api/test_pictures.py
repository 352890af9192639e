"""GET /images/<id>/<n> and the pictures of a status, as browsers and downloaders ask for them."""

import io

import pytest
from flask.testing import FlaskClient
from PIL import Image
from werkzeug.test import TestResponse

from api.auth import DUMMY_KEY
from tests.api.conftest import HandWorker

KEY = {"X-API-Key": DUMMY_KEY}


@pytest.fixture
def address(client: FlaskClient, worker: HandWorker) -> str:
    """Where the pictures of a finished job are: 0, 1 and the grid."""
    body = {"prompt": "a", "W": 64, "H": 64, "n_iter": 2, "skip_grid": False}
    job_id = client.post("/generate", json=body, headers=KEY).get_json()["task_id"]
    worker.draw()
    return f"/images/{job_id}"


def get(client: FlaskClient, address: str, **headers: str) -> TestResponse:
    return client.get(
        address, headers={name.replace("_", "-"): said for name, said in headers.items()}
    )


def test_a_picture_says_what_it_is(client: FlaskClient, address: str) -> None:
    answer = get(client, f"{address}/1")

    assert answer.status_code == 200
    assert answer.mimetype == "image/png"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.content_length == len(answer.data)
    assert Image.open(io.BytesIO(answer.data)).size == (64, 64)


def test_a_thumbnail_is_a_small_jpeg_of_the_same_picture(
    client: FlaskClient, worker: HandWorker, address: str
) -> None:
    body = {"prompt": "a", "W": 512, "H": 256}
    job_id = client.post("/generate", json=body, headers=KEY).get_json()["task_id"]
    worker.draw()
    whole = Image.open(io.BytesIO(get(client, f"/images/{job_id}/0").data))

    answer = get(client, f"/images/{job_id}/0/thumbnail")

    small = Image.open(io.BytesIO(answer.data))
    assert (answer.status_code, answer.mimetype) == (200, "image/jpeg")
    assert (whole.size, small.size) == ((512, 256), (416, 208))
    colours = whole.convert("RGB").getpixel((0, 0)), small.getpixel((0, 0))
    assert all(abs(a - b) < 8 for a, b in zip(*colours, strict=True))  # type: ignore[arg-type]
    smaller = get(client, f"{address}/0/thumbnail")
    assert Image.open(io.BytesIO(smaller.data)).size == (64, 64)


def test_a_thumbnail_is_not_taken_for_the_picture(client: FlaskClient, address: str) -> None:
    tags = {get(client, f"{address}/0{end}").headers["ETag"] for end in ("", "/thumbnail")}
    assert len(tags) == 2
    (kept,) = (
        get(client, f"{address}/0/thumbnail", If_None_Match=tag).status_code
        for tag in tags
        if "small" in tag
    )
    assert kept == 304
    assert get(client, f"{address}/7/thumbnail").status_code == 404
    assert get(client, f"{address}/grid/thumbnail").status_code == 200


def test_a_picture_never_changes_and_is_nobody_elses(client: FlaskClient, address: str) -> None:
    for number in ("0", "1", "grid"):
        kept = get(client, f"{address}/{number}").cache_control
        assert kept.private
        assert kept.immutable
        assert not kept.public
        assert kept.max_age is not None
        assert kept.max_age >= 3600


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ("bytes=0-3", slice(0, 4)),
        ("bytes=10-19", slice(10, 20)),
        ("bytes=5-", slice(5, None)),
        ("bytes=-7", slice(-7, None)),
        ("bytes=0-999999", slice(0, None)),
        ("bytes=-999999", slice(0, None)),
    ],
)
def test_a_part_of_a_picture(client: FlaskClient, address: str, asked: str, part: slice) -> None:
    whole = get(client, f"{address}/0").data

    answer = get(client, f"{address}/0", Range=asked)

    start, end, _ = part.indices(len(whole))
    assert answer.status_code == 206
    assert answer.data == whole[part]
    assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(whole)}"
    assert answer.content_length == len(answer.data)


@pytest.mark.parametrize("asked", ["bytes=999999-", "bytes=999999-9999999", "bytes=-0"])
def test_a_part_that_is_not_there(client: FlaskClient, address: str, asked: str) -> None:
    length = len(get(client, f"{address}/0").data)

    answer = get(client, f"{address}/0", Range=asked)

    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == f"bytes */{length}"
    assert answer.get_json().keys() == {"error", "details"}


@pytest.mark.parametrize(
    "asked",
    ["", "x", "bytes", "bytes=", "bytes=a-b", "bytes=5-2", "lines=1-2", "bytes=-" + "9" * 5000],
)
def test_a_range_that_is_none_is_passed_over(client: FlaskClient, address: str, asked: str) -> None:
    answer = get(client, f"{address}/0", Range=asked)

    assert answer.status_code in (200, 416)
    assert answer.status_code == 416 or Image.open(io.BytesIO(answer.data)).size == (64, 64)


def test_several_parts_at_once_are_answered_with_the_whole(
    client: FlaskClient, address: str
) -> None:
    answer = get(client, f"{address}/0", Range="bytes=0-1,4-5")

    assert answer.status_code in (200, 416)


def test_a_part_of_a_picture_that_was_another_then_is_the_whole(
    client: FlaskClient, address: str
) -> None:
    whole = get(client, f"{address}/0")
    tag = whole.headers["ETag"]

    assert get(client, f"{address}/0", Range="bytes=0-3", If_Range=tag).status_code == 206
    assert get(client, f"{address}/0", Range="bytes=0-3", If_Range='"x"').data == whole.data


def test_who_has_a_picture_is_not_sent_it_again(client: FlaskClient, address: str) -> None:
    whole = get(client, f"{address}/0")
    tag = whole.headers["ETag"]

    for asked in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        answer = get(client, f"{address}/0", If_None_Match=asked)
        assert (answer.status_code, answer.data) == (304, b"")
        assert answer.headers["ETag"] == tag
        assert answer.headers["Cache-Control"] == whole.headers["Cache-Control"]
    assert get(client, f"{address}/0", If_None_Match='"other"').data == whole.data


def test_every_picture_has_a_tag_of_its_own(client: FlaskClient, address: str) -> None:
    tags = {get(client, f"{address}/{number}").headers["ETag"] for number in ("0", "1", "grid")}

    assert len(tags) == 3


def test_the_head_of_a_picture_is_that_of_the_whole(client: FlaskClient, address: str) -> None:
    whole = get(client, f"{address}/0")

    head = client.head(f"{address}/0")

    assert (head.status_code, head.data) == (200, b"")
    for name in (
        "Content-Length",
        "Content-Type",
        "ETag",
        "Cache-Control",
        "Accept-Ranges",
        "Link",
    ):
        assert head.headers.getlist(name) == whole.headers.getlist(name)


def test_a_picture_links_the_others_of_its_job(client: FlaskClient, address: str) -> None:
    for number in ("0", "1", "grid"):
        links = get(client, f"{address}/{number}").headers.getlist("Link")
        others = [f"{address}/{other}" for other in ("0", "1", "grid") if other != number]
        assert links == [f'<{other}>; rel="related"' for other in others]
        assert all(client.head(other).status_code == 200 for other in others)


def test_a_status_that_is_a_picture_is_one_in_every_way(client: FlaskClient, address: str) -> None:
    status = address.replace("/images/", "/status/")
    grid = get(client, f"{address}/grid")

    answer = get(client, status)

    assert answer.data == grid.data
    assert answer.headers["ETag"] == grid.headers["ETag"]
    assert get(client, status, Range="bytes=0-3").data == grid.data[:4]
    assert get(client, status, If_None_Match=answer.headers["ETag"]).status_code == 304
    assert client.head(status).status_code == 200


@pytest.mark.parametrize(
    ("asked", "sent"),
    [("false", False), ("FALSE", False), ("0", False), ("no", False), ("true", True), ("1", True)],
)
def test_pictures_can_be_left_out_of_a_status(
    client: FlaskClient, worker: HandWorker, asked: str, sent: bool
) -> None:
    body = {"prompt": "a", "W": 64, "H": 64, "return_base64": True}
    location = client.post("/generate", json=body, headers=KEY).headers["Location"]
    worker.draw()

    answer = client.get(location, query_string={"images": asked}).get_json()

    assert ("Image" in answer) is sent
    assert len(answer["Images"]) == 1


def test_the_grid_comes_last_among_base64_pictures(client: FlaskClient, worker: HandWorker) -> None:
    body = {"prompt": "a", "W": 64, "H": 64, "n_samples": 2, "skip_grid": False, "format": "jpg"}
    asked = {**body, "return_base64": True}
    location = client.post("/generate", json=asked, headers=KEY).headers["Location"]
    worker.draw()

    answer = client.get(location).get_json()

    assert len(answer["Image"]) == len(answer["Images"]) == 3
    assert answer["Images"][-1].endswith("/grid")
    assert client.get(answer["Images"][-1]).mimetype == "image/jpeg"


def test_a_job_that_has_not_ended_has_no_pictures(client: FlaskClient, worker: HandWorker) -> None:
    job_id = client.post("/generate", json={"prompt": "a"}, headers=KEY).get_json()["task_id"]

    for number in ("0", "grid"):
        answer = client.get(f"/images/{job_id}/{number}")
        assert answer.status_code == 404
        assert "PENDING" in answer.get_json()["error"]
        assert "immutable" not in answer.headers.get("Cache-Control", "")
