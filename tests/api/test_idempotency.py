"""The Idempotency-Key header, and the priority and webhook of a request."""

import base64
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image

from api import create_app
from api.auth import DUMMY_KEY
from api.settings import ApiSettings
from jobs import keys
from tests.api.conftest import HandWorker

KEY = {"X-API-Key": DUMMY_KEY}
AGAIN = {**KEY, "Idempotency-Key": "order-17"}
BODY = {"prompt": "a cat", "W": 64, "H": 64}
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def picture() -> str:
    data = io.BytesIO()
    Image.new("RGB", (64, 64)).save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()


def test_the_same_request_gives_the_same_answer(client: FlaskClient, worker: HandWorker) -> None:
    first = client.post("/generate", json=BODY, headers=AGAIN)
    again = client.post("/generate", json=dict(reversed(BODY.items())), headers=AGAIN)

    assert (again.status_code, again.get_json()) == (202, first.get_json())
    assert again.headers["Location"] == first.headers["Location"]
    assert worker.queued() == 1
    worker.draw()
    assert client.post("/generate", json=BODY, headers=AGAIN).get_json() == first.get_json()
    assert worker.queued() == 0


def test_after_a_deletion_the_same_request_is_a_new_job(
    client: FlaskClient, worker: HandWorker
) -> None:
    first = client.post("/generate", json=BODY, headers=AGAIN).get_json()
    worker.draw()
    assert client.delete(first["Location"], headers=KEY).status_code == 200

    again = client.post("/generate", json=BODY, headers=AGAIN)
    assert again.status_code == 202
    assert again.get_json()["task_id"] != first["task_id"]
    assert client.get(first["Location"]).status_code == 410
    # and from now on it is that job's
    assert client.post("/generate", json=BODY, headers=AGAIN).get_json() == again.get_json()
    assert worker.queued() == 1


def test_another_body_under_the_same_key_is_a_conflict(
    client: FlaskClient, worker: HandWorker
) -> None:
    client.post("/generate", json=BODY, headers=AGAIN)

    for path, body in (
        ("/generate", {**BODY, "prompt": "a dog"}),
        ("/generate", {"nonsense": 1}),
        ("/img2img", {**BODY, "init_img": picture()}),
    ):
        answer = client.post(path, json=body, headers=AGAIN)
        assert answer.status_code == 409
        assert "Idempotency-Key" in answer.get_json()["error"]
    assert worker.queued() == 1


def test_a_request_that_was_refused_may_be_corrected_under_its_key(
    client: FlaskClient, worker: HandWorker
) -> None:
    assert client.post("/generate", json={**BODY, "W": 1}, headers=AGAIN).status_code == 400
    assert client.post("/generate", json=BODY, headers=AGAIN).status_code == 202


def test_a_known_request_is_answered_even_when_no_worker_is_left(
    client: FlaskClient, worker: HandWorker
) -> None:
    first = client.post("/generate", json=BODY, headers=AGAIN)
    worker.workers.withdraw("by-hand")
    worker.redis.delete(keys.LAST_SERVED)
    assert client.post("/generate", json=BODY, headers=KEY).status_code == 503
    assert client.post("/generate", json=BODY, headers=AGAIN).get_json() == first.get_json()


def test_of_many_at_once_one_job_comes_and_one_init_image_is_kept(
    app: Flask, worker: HandWorker, settings: ApiSettings
) -> None:
    body = {**BODY, "init_img": picture()}

    def post(_: int) -> str:
        return app.test_client().post("/img2img", json=body, headers=AGAIN).get_json()["task_id"]

    with ThreadPoolExecutor(8) as clients:
        jobs = set(clients.map(post, range(24)))

    assert len(jobs) == 1
    stored = [path.name for path in Path(settings.outputs).rglob("*.*") if path.is_file()]
    assert stored == [f"{jobs.pop()}.init.png"]
    assert worker.queued() == 1


def test_a_synchronous_request_that_comes_again_is_answered_with_its_picture(
    client: FlaskClient, worker: HandWorker
) -> None:
    body = {**BODY, "synchronous_request": True}
    with ThreadPoolExecutor(1) as hand:
        drawn = hand.submit(worker.draw)
        first = client.post("/generate", json=body, headers=AGAIN)
        drawn.result(60)
    again = client.post("/generate", json=body, headers=AGAIN)
    assert first.mimetype == again.mimetype == "image/png"
    assert first.headers["Location"] == again.headers["Location"]


@pytest.mark.parametrize("key", ["", "two words", "é", "x" * 256])
def test_what_is_no_key_is_refused(client: FlaskClient, worker: HandWorker, key: str) -> None:
    answer = client.post("/generate", json=BODY, headers={**KEY, "Idempotency-Key": key})
    assert answer.status_code == 400
    assert answer.get_json()["details"][0]["field"] == "Idempotency-Key"
    assert worker.queued() == 0


def test_a_higher_priority_is_drawn_first(client: FlaskClient, worker: HandWorker) -> None:
    low, high = (
        client.post("/generate", json={**BODY, "priority": level}, headers=KEY).get_json()
        for level in (0, 9)
    )
    assert client.get(low["Location"]).get_json()["queue_place"] == 2
    assert worker.claim()[0].job_id == high["task_id"]


def test_another_keys_single_job_does_not_wait_for_all_of_the_first(
    client: FlaskClient, worker: HandWorker
) -> None:
    for _ in range(20):
        client.post("/generate", json={**BODY, "priority": 9}, headers=KEY)
    other = {"X-API-Key": "ключ".encode().decode("latin-1")}
    single = client.post("/generate", json=BODY, headers=other).get_json()
    assert client.get(single["Location"]).get_json()["queue_place"] <= 2


def webhooks(settings: ApiSettings, **allowed: bool) -> FlaskClient:
    return create_app(
        settings.model_copy(update={"webhook_secret": (SECRET,), **allowed})
    ).test_client()


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/", "https://localhost/", "https://[::ffff:127.0.0.1]/",
        "https://169.254.169.254/latest", "https://10.1.2.3/", "http://8.8.8.8/",
        "https://user:pw@8.8.8.8/", "https://2130706433/",
    ],
)  # fmt: skip
def test_a_webhook_that_leads_inside_is_refused_and_nothing_accepted(
    settings: ApiSettings, worker: HandWorker, url: str
) -> None:
    answer = webhooks(settings).post("/generate", json={**BODY, "webhook": url}, headers=KEY)
    assert answer.status_code == 400
    (fault,) = answer.get_json()["details"]
    assert (fault["field"], fault["code"]) == ("webhook", "webhook_refused")
    assert worker.queued() == 0


def test_webhooks_that_are_off_or_allowed_inside(
    settings: ApiSettings, client: FlaskClient, worker: HandWorker
) -> None:
    body = {**BODY, "webhook": "http://127.0.0.1:9/hook?token=secret"}
    off = client.post("/generate", json=body, headers=KEY)
    assert off.status_code == 400
    assert "off" in off.get_json()["error"]

    allowed = webhooks(settings, webhook_allow_private=True, webhook_allow_http=True)
    taken = allowed.post("/generate", json=body, headers=KEY)
    assert taken.status_code == 202
    worker.draw()
    # the status is public to those who know the id, so the webhook is not in it
    status = allowed.get(taken.headers["Location"], query_string={"images": "false"})
    assert "secret" not in status.text
