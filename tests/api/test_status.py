"""GET /status/<id>, /images/<id>/<n> and /recent."""

import base64
import io
import time

import pytest
from flask.testing import FlaskClient
from PIL import Image

from api.auth import DUMMY_KEY
from api.settings import ApiSettings
from jobs import keys
from jobs.pictures.store import PictureStore
from jobs.records.claims import PAUSES_SECONDS
from jobs.status import Failure
from tests.api.conftest import HandWorker

KEY = {"X-API-Key": DUMMY_KEY}


def submit(client: FlaskClient, **body: object) -> str:
    """The location of a new job."""
    answer = client.post("/generate", json={"prompt": "a", "W": 64, **body}, headers=KEY)
    assert answer.status_code == 202, answer.text
    return answer.headers["Location"]


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def test_a_waiting_job_knows_its_place(client: FlaskClient, worker: HandWorker) -> None:
    first, second = submit(client), submit(client)

    assert client.get(first).get_json()["queue_place"] == 1
    answer = client.get(second).get_json()

    assert answer["queue_place"] == 2
    assert answer["State"] == "PENDING"
    assert answer["Progress"] == 0
    assert "place 2" in answer["Status"]


def test_a_running_job_tells_its_step_its_progress_and_its_eta(
    client: FlaskClient, worker: HandWorker
) -> None:
    location = submit(client)
    claim, _ = worker.claim()
    worker.report(claim, 5, 20)

    answer = client.get(location).get_json()

    assert answer["State"] == "PROGRESS"
    assert (answer["step"], answer["steps"], answer["Progress"]) == (5, 20, 0.25)
    assert answer["ETA"] == 1.5
    assert "queue_place" not in answer


def test_a_postponed_job_tells_why_and_until_when(client: FlaskClient, worker: HandWorker) -> None:
    location = submit(client)
    claim, _ = worker.claim()
    full = Failure(code="storage_full", message="the picture store failed: No space left on device")
    worker.claims.postpone(claim, full)

    answer = client.get(location).get_json()

    assert answer["State"] == "PENDING"
    assert "No space left" in answer["Status"]
    assert answer["postponed"] == {
        "times": 1,
        "most": len(PAUSES_SECONDS),
        "code": "storage_full",
        "message": full.message,
        "retry_at": pytest.approx(time.time() + PAUSES_SECONDS[0], abs=120),
    }
    assert {"queue_place", "failure", "code", "error"}.isdisjoint(answer)

    worker.redis.zadd(keys.postponed("optimized"), {claim.job_id: 0})
    worker.claims.release_postponed()
    answer = client.get(location).get_json()
    assert answer["queue_place"] == 1
    assert answer["postponed"]["retry_at"] is None
    worker.finish(*worker.claim())
    assert "postponed" not in client.get(f"{location}?images=false").get_json()


def test_a_postponed_job_can_be_cancelled(client: FlaskClient, worker: HandWorker) -> None:
    location = submit(client)
    claim, _ = worker.claim()
    worker.claims.postpone(claim, Failure(code="storage_failed", message="x"))
    assert client.delete(location, headers=KEY).status_code == 200
    assert client.get(location).get_json()["State"] == "CANCELLED"


def test_progress_never_goes_back(client: FlaskClient, worker: HandWorker) -> None:
    location = submit(client)
    claim, _ = worker.claim()
    worker.report(claim, 10, 20)
    worker.report(claim, 1, 20)

    assert client.get(location).get_json()["Progress"] == 0.5


def test_a_finished_job_answers_with_its_picture(client: FlaskClient, worker: HandWorker) -> None:
    location = submit(client, format="webp")
    worker.draw()

    answer = client.get(location)

    assert answer.mimetype == "image/webp"
    assert answer.headers["Content-Disposition"].endswith("_0.webp")
    assert opened(answer.data).size == (64, 512)


@pytest.mark.parametrize(("extension", "kind"), [("png", "PNG"), ("jpg", "JPEG"), ("webp", "WEBP")])
def test_base64_pictures_are_in_the_format_asked_for(
    client: FlaskClient, worker: HandWorker, extension: str, kind: str
) -> None:
    location = submit(client, return_base64=True, format=extension, n_iter=2, seed=7)
    worker.draw()

    answer = client.get(location).get_json()

    assert answer["State"] == "SUCCESS"
    assert answer["Progress"] == 1
    assert answer["Size"] == [64, 512]
    assert answer["Format"] == extension
    assert answer["seeds"] == [7, 8]
    assert [opened(base64.b64decode(image)).format for image in answer["Image"]] == [kind] * 2


def test_images_false_leaves_the_pictures_out(client: FlaskClient, worker: HandWorker) -> None:
    for as_base64 in (True, False):
        location = submit(client, return_base64=as_base64)
        worker.draw()

        answer = client.get(location, query_string={"images": "false"}).get_json()

        assert answer["State"] == "SUCCESS"
        assert "Image" not in answer
        assert len(answer["Images"]) == 1


def test_every_picture_of_a_job_can_be_fetched(client: FlaskClient, worker: HandWorker) -> None:
    location = submit(client, n_iter=2, n_samples=2, skip_grid=False)
    worker.draw()

    links = client.get(f"{location}?images=false").get_json()["Images"]
    pictures = [opened(client.get(link).data).convert("RGB") for link in links]

    assert [link.rsplit("/", 1)[1] for link in links] == ["0", "1", "2", "3", "grid"]
    assert len({picture.getpixel((0, 0)) for picture in pictures}) == 5
    assert pictures[-1].size == (64 * 4, 512)


def test_a_directly_sent_job_with_a_grid_sends_the_grid_and_links_the_rest(
    client: FlaskClient, worker: HandWorker
) -> None:
    location = submit(client, n_iter=2, skip_grid=False)
    worker.draw()

    answer = client.get(location)

    assert opened(answer.data).size == (128, 512)
    assert sum("/images/" in link for link in answer.headers.getlist("Link")) == 2


def test_a_picture_can_be_kept_by_the_client_and_fetched_in_parts(
    client: FlaskClient, worker: HandWorker
) -> None:
    location = submit(client)
    worker.draw()
    link = client.get(f"{location}?images=false").get_json()["Images"][0]
    whole = client.get(link)

    assert client.get(link, headers={"If-None-Match": whole.headers["ETag"]}).status_code == 304
    part = client.get(link, headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.data) == (206, whole.data[:4])


@pytest.mark.parametrize("number", ["1", "-1", "grid", "x", "00", "..%2f0"])
def test_a_picture_that_a_job_does_not_have_is_not_found(
    client: FlaskClient, worker: HandWorker, number: str
) -> None:
    location = submit(client)
    worker.draw()

    answer = client.get(f"/images/{location.rsplit('/', 1)[1]}/{number}")

    assert answer.status_code == 404
    assert answer.get_json()["error"]


def test_a_picture_that_was_deleted_is_gone(
    client: FlaskClient, worker: HandWorker, settings: ApiSettings
) -> None:
    location = submit(client)
    claim, request = worker.claim()
    worker.finish(claim, request)
    PictureStore(settings.outputs).delete(f"{request.outdir}/{claim.job_id}_0.png")

    assert client.get(location).status_code == 410


def test_a_failed_job_says_why(client: FlaskClient, worker: HandWorker) -> None:
    location = submit(client)
    worker.fail("out of memory")

    answer = client.get(location)

    assert answer.status_code == 200
    assert answer.get_json()["State"] == "FAILURE"
    assert answer.get_json()["Status"] == "out of memory"
    assert answer.get_json()["failure"] == {"code": "out_of_memory", "message": "out of memory"}


def test_the_deprecated_keys_repeat_those_that_replace_them(
    client: FlaskClient, worker: HandWorker
) -> None:
    location = submit(client, n_iter=2)
    claim, request = worker.claim()
    worker.report(claim, 5, 20)
    running = client.get(location).get_json()
    worker.finish(claim, request)
    finished = client.get(f"{location}?images=false").get_json()
    location = submit(client)
    worker.fail("no memory left")
    failed = client.get(location).get_json()

    assert (running["image_index"], running["image_count"]) == (1, 1)
    assert (running["image"], running["images"]) == (1, 1)
    assert [url.rsplit("/", 1)[1] for url in finished["image_urls"]] == ["0", "1"]
    assert finished["Images"] == finished["image_urls"]
    assert failed["failure"] == {"code": failed["code"], "message": failed["error"]}
    assert failed["failure"] == {"code": "out_of_memory", "message": "no memory left"}


@pytest.mark.parametrize(
    "job_id", ["x", "*", "%00", "..", "5e0bb4b6-65c4-4bd4-9f55-6c1b1b2f0a10", "é", "x" * 5000]
)
def test_an_id_that_was_never_given_out_is_not_found(client: FlaskClient, job_id: str) -> None:
    assert client.get(f"/status/{job_id}").status_code in (404, 308)
    assert client.get(f"/images/{job_id}/0").status_code in (404, 308)


def test_the_last_ten_pictures_are_listed_newest_first(
    client: FlaskClient, worker: HandWorker
) -> None:
    locations = [submit(client) for _ in range(12)]
    for _ in locations:
        worker.draw()

    answer = client.get("/recent", headers=KEY)

    assert answer.get_json() == {"Recent_finished_images": locations[:1:-1]}


def test_recent_takes_the_key_from_header_query_or_body(
    client: FlaskClient, worker: HandWorker
) -> None:
    assert client.get("/recent", headers=KEY).status_code == 200
    assert client.get("/recent", query_string={"api_key": DUMMY_KEY}).status_code == 200
    assert client.get("/recent", json={"api_key": DUMMY_KEY}).status_code == 200
    assert client.get("/recent").status_code == 401
    assert client.get("/recent", query_string={"api_key": "x"}).status_code == 401


def test_a_record_of_a_later_version_that_is_not_understood_is_named(
    client: FlaskClient, worker: HandWorker
) -> None:
    location, other = submit(client), submit(client)
    record = keys.job(location.removeprefix("/status/"))
    worker.redis.hset(record, mapping={"version": 9, "state": "DREAMING"})

    answer = client.get(location)
    assert answer.status_code == 503
    error = answer.get_json()["error"]
    assert location.removeprefix("/status/") in error
    assert "version 9" in error
    listed = client.get("/recent?facts=true", headers=KEY)
    assert [job["Location"] for job in listed.get_json()["Under_way"]] == [other]
