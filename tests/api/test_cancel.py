"""POST /cancel/<id> and DELETE /status/<id>."""

import base64
import io
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from PIL import Image

from api import create_app
from api.auth import DUMMY_KEY
from api.settings import ApiSettings
from jobs.records.claim import ClaimStatus
from tests.api.conftest import HandWorker

KEY = {"X-API-Key": DUMMY_KEY}
OTHER = {"X-API-Key": "ключ".encode().decode("latin-1")}
ADMIN = {"X-API-Key": "an admin's"}
WAYS = pytest.mark.parametrize("way", ["cancel", "delete"])


@pytest.fixture
def client(settings: ApiSettings) -> FlaskClient:
    return create_app(settings.model_copy(update={"admin_keys": ("an admin's",)})).test_client()


def submit(client: FlaskClient, path: str = "/generate", **body: object) -> str:
    """The id of a new job."""
    answer = client.post(path, json={"prompt": "a", "W": 64, "H": 64, **body}, headers=KEY)
    assert answer.status_code == 202, answer.text
    return answer.get_json()["task_id"]


def picture() -> str:
    data = io.BytesIO()
    Image.new("RGB", (64, 64)).save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()


def ended(client: FlaskClient, way: str, job_id: str, **sent: object) -> tuple[int, dict[str, str]]:
    """Code and body of the answer to a cancellation."""
    sent = sent or {"headers": KEY}
    if way == "cancel":
        answer = client.post(f"/cancel/{job_id}", **sent)
    else:
        answer = client.delete(f"/status/{job_id}", **sent)
    return answer.status_code, answer.get_json()


def state(client: FlaskClient, job_id: str) -> str:
    return client.get(f"/status/{job_id}").get_json()["State"]


def stored(settings: ApiSettings) -> list[str]:
    return sorted(path.name for path in Path(settings.outputs).rglob("*") if path.is_file())


@WAYS
def test_a_waiting_job_leaves_the_queue_and_the_others_move_up(
    client: FlaskClient, worker: HandWorker, way: str
) -> None:
    first, second, third = submit(client), submit(client), submit(client)

    code, body = ended(client, way, second)

    assert (code, body["State"], body["Status"]) == (200, "CANCELLED", "cancelled")
    assert state(client, second) == "CANCELLED"
    assert client.get(f"/status/{third}").get_json()["queue_place"] == 2
    assert worker.claim()[0].job_id == first
    assert worker.claim()[0].job_id == third


@WAYS
def test_nothing_stays_of_a_cancelled_job(
    client: FlaskClient, worker: HandWorker, settings: ApiSettings, way: str
) -> None:
    job_id = submit(client, "/img2img", init_img=picture())
    assert stored(settings) == [f"{job_id}.init.png"]

    ended(client, way, job_id)

    assert stored(settings) == []


@WAYS
def test_a_running_job_is_asked_to_stop(client: FlaskClient, worker: HandWorker, way: str) -> None:
    job_id = submit(client)
    claim, _ = worker.claim()

    code, body = ended(client, way, job_id)

    assert (code, body["State"], body["Status"]) == (202, "LOADING", "stopping")
    assert worker.claims.renew(claim) is ClaimStatus.CANCEL
    assert ended(client, way, job_id)[0] == 202
    worker.claims.cancelled(claim)
    assert state(client, job_id) == "CANCELLED"


@WAYS
def test_a_job_that_failed_or_was_cancelled_stays_what_it_is(
    client: FlaskClient, worker: HandWorker, way: str
) -> None:
    cancelled = submit(client)
    ended(client, way, cancelled)
    failed = submit(client)
    worker.fail("no memory")

    for job_id in (cancelled, failed):
        code, body = ended(client, way, job_id)
        assert code == 409
        assert state(client, job_id) in body["error"]


def test_a_finished_job_is_not_cancelled_but_its_pictures_can_be_deleted(
    client: FlaskClient, worker: HandWorker, settings: ApiSettings
) -> None:
    job_id = submit(client, n_iter=2, skip_grid=False)
    worker.draw()

    assert ended(client, "cancel", job_id)[0] == 409
    assert len(stored(settings)) == 3
    code, body = ended(client, "delete", job_id)

    assert (code, body["State"], body["Status"]) == (200, "SUCCESS", "deleted")
    assert stored(settings) == []
    for path in (f"/status/{job_id}", f"/images/{job_id}/0", f"/images/{job_id}/grid"):
        assert client.get(path).status_code == 410
    assert client.get("/recent", headers=KEY).get_json() == {"Recent_finished_images": []}
    assert ended(client, "delete", job_id)[0] == 410
    assert ended(client, "cancel", job_id)[0] == 410


@WAYS
def test_another_key_is_told_what_it_is_told_of_an_id_that_never_was(
    client: FlaskClient, worker: HandWorker, way: str
) -> None:
    waiting, running, done = submit(client), submit(client), submit(client)
    unknown = ended(client, way, "5e0bb4b6-65c4-4bd4-9f55-6c1b1b2f0a10", headers=OTHER)
    assert unknown[0] == 404
    worker.draw()
    worker.claim()

    for job_id in (waiting, running, done):
        assert ended(client, way, job_id, headers=OTHER) == unknown

    ended(client, "delete", done, headers=ADMIN)
    assert ended(client, way, waiting, headers=OTHER) == unknown


@WAYS
def test_an_admin_key_may_cancel_any_job_and_submit_its_own(
    client: FlaskClient, worker: HandWorker, way: str
) -> None:
    job_id = submit(client)
    assert ended(client, way, job_id, headers=ADMIN)[0] == 200
    assert client.post("/generate", json={"prompt": "a"}, headers=ADMIN).status_code == 202


@WAYS
def test_without_a_known_key_nobody_cancels(
    client: FlaskClient, worker: HandWorker, way: str
) -> None:
    job_id = submit(client)
    for sent in ({"headers": {}}, {"headers": {"X-API-Key": "x"}}, {"json": {"api_key": "x"}}):
        assert ended(client, way, job_id, **sent)[0] == 401
    assert state(client, job_id) == "PENDING"


@WAYS
def test_the_key_may_come_in_a_header_or_in_a_body(
    client: FlaskClient, worker: HandWorker, way: str
) -> None:
    bearer = {"headers": {"Authorization": f"Bearer {DUMMY_KEY}"}}
    for sent in (bearer, {"headers": KEY}, {"json": {"api_key": DUMMY_KEY}}):
        assert ended(client, way, submit(client), **sent)[0] == 200


def test_admin_keys_come_from_the_environment_and_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "admins"
    file.write_text("# who may\nzoe\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ADMIN_KEYS", "anna, bert")
    monkeypatch.setenv("ADMIN_KEYS_FILE", str(file))
    settings = ApiSettings()
    assert settings.all_admin_keys == ("anna", "bert", "zoe")
    assert "anna" not in repr(settings)


@WAYS
def test_a_content_type_without_a_body_does_no_harm(
    client: FlaskClient, worker: HandWorker, way: str
) -> None:
    job = submit(client)
    headers = {**KEY, "Content-Type": "application/json"}

    if way == "cancel":
        answer = client.post(f"/cancel/{job}", headers=headers)
    else:
        answer = client.delete(f"/status/{job}", headers=headers)

    assert answer.status_code == 200, answer.text
