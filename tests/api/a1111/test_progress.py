"""Progress, interrupt and skip: each key's own jobs, never another's."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from api.auth import DUMMY_KEY
from jobs.records.claim import Claim
from jobs.records.overview import MAX_WAITING
from jobs.status import Preview, Progress
from tests.api.a1111.conftest import basic
from tests.api.conftest import HandWorker
from tests.processes import eventually

OTHER_KEY = "ключ"
SMALL = {"prompt": "a cat", "width": 256, "height": 256, "steps": 4}
IDLE = {
    "skipped": False,
    "interrupted": False,
    "stopping_generation": False,
    "job": "",
    "job_count": 0,
    "job_timestamp": "0",
    "job_no": 0,
    "sampling_step": 0,
    "sampling_steps": 0,
}


class Person:
    """One key of the dialect, which can wait for a picture and poll at the same time."""

    def __init__(self, app: Flask, pool: ThreadPoolExecutor, key: str) -> None:
        self._app = app
        self._pool = pool
        self._headers = basic(key)

    def draws(self, **fields: Any) -> Future[TestResponse]:
        """Start a txt2img; the job is queued when this returns."""
        before = self.waiting()
        answer = self._pool.submit(self.post, "txt2img", {**SMALL, **fields})
        assert eventually(lambda: answer.done() or self.waiting() > before)
        return answer

    def waiting(self) -> int:
        listed = self._app.test_client().get("/recent?facts=1", headers=self._headers).get_json()
        return len(listed["Under_way"])

    def post(self, path: str, body: dict[str, Any] | None = None) -> TestResponse:
        return self._app.test_client().post(f"/sdapi/v1/{path}", json=body, headers=self._headers)

    def progress(self, query: str = "") -> dict[str, Any]:
        address = f"/sdapi/v1/progress{query}"
        answer = self._app.test_client().get(address, headers=self._headers)
        assert answer.status_code == 200
        return answer.get_json()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


@pytest.fixture
def one(app: Flask, pool: ThreadPoolExecutor, worker: HandWorker) -> Person:
    return Person(app, pool, DUMMY_KEY)


@pytest.fixture
def other(app: Flask, pool: ThreadPoolExecutor, worker: HandWorker) -> Person:
    return Person(app, pool, OTHER_KEY)


def show(worker: HandWorker, claim: Claim) -> str:
    """Store a preview of a running job."""
    jpeg = "/9j/preview"
    worker.claims.preview(claim, Preview(step=1, steps=4, image=1, width=32, height=32, jpeg=jpeg))
    return jpeg


def test_a_picture_is_followed_from_the_queue_to_its_end(one: Person, worker: HandWorker) -> None:
    idle = one.progress()
    assert (idle["progress"], idle["eta_relative"], idle["state"]) == (0, 0, IDLE)
    assert idle["current_image"] is None

    answer = one.draws()
    waiting = one.progress()
    assert (waiting["progress"], waiting["state"]["job_count"]) == (0, 1)
    assert waiting["textinfo"] == "waiting: place 1 in the queue"

    claim, request = worker.claim()
    assert one.progress()["progress"] == 0.01
    worker.report(claim, 1, 4)
    jpeg = show(worker, claim)
    running = one.progress()
    assert (running["progress"], running["eta_relative"]) == (0.25, 1.5)
    state = running["state"]
    assert (state["sampling_step"], state["sampling_steps"]) == (1, 4)
    assert state["job"] == claim.job_id
    assert running["current_image"] == jpeg
    assert one.progress("?skip_current_image=true")["current_image"] is None

    worker.finish(claim, request)
    assert answer.result().status_code == 200
    assert one.progress() == idle


def test_previews_can_be_switched_off(one: Person, worker: HandWorker) -> None:
    one.post("options", {"live_previews_enable": False})
    one.draws()
    claim, request = worker.claim()
    worker.report(claim, 1, 4)
    show(worker, claim)

    assert one.progress()["current_image"] is None
    worker.finish(claim, request)


def test_a_task_is_asked_for_by_its_id(one: Person, other: Person, worker: HandWorker) -> None:
    unknown = one.progress("?id_task=task(1)")
    assert (unknown["progress"], unknown["state"]) == (0, IDLE)
    assert unknown["textinfo"] == "waiting for the request"

    answer = one.draws(force_task_id="task(1)")
    claim, request = worker.claim()
    worker.report(claim, 2, 4)
    assert one.progress("?id_task=task(1)")["progress"] == 0.5
    assert other.progress("?id_task=task(1)")["state"] == IDLE

    worker.finish(claim, request)
    answer.result()
    done = one.progress("?id_task=task(1)")
    assert (done["progress"], done["state"]["job_count"], done["textinfo"]) == (1, 0, "done")


def test_two_keys_never_see_or_end_each_others_pictures(
    one: Person, other: Person, worker: HandWorker
) -> None:
    mine, theirs = one.draws(), other.draws()
    claims = [worker.claim(), worker.claim()]
    for number, (claim, _) in enumerate(claims):
        worker.report(claim, number + 1, 4)
    assert (one.progress()["progress"], other.progress()["progress"]) == (0.25, 0.5)

    assert one.post("interrupt").get_json() == {"warnings": []}

    assert one.progress()["state"]["interrupted"]
    assert not other.progress()["state"]["interrupted"]
    worker.claims.cancelled(claims[0][0])
    worker.finish(*claims[1])
    assert mine.result().get_json()["images"] == []
    assert theirs.result().status_code == 200
    assert other.post("interrupt").status_code == 200  # nothing is left to end


def test_interrupt_ends_what_waits_too_but_not_what_the_key_has_queued_elsewhere(
    app: Flask, one: Person, worker: HandWorker
) -> None:
    queued = app.test_client().post(
        "/generate", json={"prompt": "a", "W": 64, "H": 64}, headers={"X-API-Key": DUMMY_KEY}
    )
    answers = [one.draws(), one.draws()]

    one.post("interrupt")

    assert [answer.result().get_json()["images"] for answer in answers] == [[], []]
    status = app.test_client().get(queued.get_json()["Location"]).get_json()
    assert status["State"] == "PENDING"
    assert one.progress()["state"] == IDLE


def test_a_job_behind_all_that_the_key_has_queued_is_followed_and_interrupted(
    app: Flask, one: Person, pool: ThreadPoolExecutor, worker: HandWorker
) -> None:
    body = {"prompt": "a", "W": 64, "H": 64}
    for _ in range(MAX_WAITING):
        app.test_client().post("/generate", json=body, headers={"X-API-Key": DUMMY_KEY})
    answer = pool.submit(one.post, "txt2img", SMALL)
    assert eventually(lambda: worker.queued() > MAX_WAITING, 20)

    assert one.progress()["state"]["job_count"] == 1
    one.post("interrupt")

    assert answer.result().get_json()["images"] == []


def test_skip_ends_the_running_picture_only(one: Person, worker: HandWorker) -> None:
    first, second = one.draws(), one.draws()
    claim, _ = worker.claim()
    worker.report(claim, 1, 4)

    assert one.post("skip").get_json() == {"warnings": []}

    worker.claims.cancelled(claim)
    assert first.result().get_json()["images"] == []
    worker.draw()
    assert second.result().status_code == 200


def test_skip_says_that_it_ends_all_pictures_of_a_job(one: Person, worker: HandWorker) -> None:
    answer = one.draws(batch_size=2)
    claim, _ = worker.claim()
    worker.claims.report(claim, Progress(step=1, steps=4, fraction=0.25, images=2))

    (warning,) = one.post("skip").get_json()["warnings"]

    assert warning.startswith("skip: the job ended with all of its 2 pictures")
    worker.claims.cancelled(claim)
    assert answer.result().status_code == 200


@pytest.mark.parametrize("path", ["interrupt", "skip"])
def test_a_body_of_any_kind_is_not_read(app: Flask, worker: HandWorker, path: str) -> None:
    answer = app.test_client().post(
        f"/sdapi/v1/{path}", data='""', content_type="application/json", headers=basic(DUMMY_KEY)
    )
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("method", "path"), [("get", "progress"), ("post", "interrupt"), ("post", "skip")]
)
def test_without_a_key_nothing_is_told_and_nothing_ends(
    app: Flask, one: Person, worker: HandWorker, method: str, path: str
) -> None:
    answer = one.draws()

    refused = getattr(app.test_client(), method)(f"/sdapi/v1/{path}", headers=basic("wrong"))

    assert refused.status_code == 401
    worker.draw()
    assert answer.result().status_code == 200
