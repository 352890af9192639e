"""Sixty ways to get a request wrong (malformed.py), and the answer to each."""

import time
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from api.auth import DUMMY_KEY
from api.settings import ApiSettings
from tests.api.conftest import HandWorker
from tests.api.malformed import IDS, PICTURE, TABLE, Row, body_of, name_of


@pytest.fixture
def linked(settings: ApiSettings) -> None:
    """A folder in the output root that leads out of it (row 31)."""
    root = Path(settings.outputs)
    root.mkdir()
    (root / "link-to-etc").symlink_to("/etc")


@pytest.mark.usefixtures("linked")
@pytest.mark.parametrize("row", TABLE, ids=name_of)
def test_it_is_answered_as_the_table_says(
    client: FlaskClient, worker: HandWorker, settings: ApiSettings, row: Row
) -> None:
    headers = {"X-API-Key": DUMMY_KEY} if isinstance(row.sent, bytes) else {}
    body = body_of(row)
    started = time.thread_time()

    answer = client.post(row.to, data=body, content_type=row.content_type, headers=headers)

    assert time.thread_time() - started < 5
    assert answer.status_code == row.status, answer.text
    if row.status == 202:
        assert worker.queued() == 1
        return
    said = answer.get_json()
    assert said.keys() == {"error", "details"}
    assert row.says in said["error"]
    assert {fault["field"]: fault["code"] for fault in said["details"]} == row.faults
    assert all(fault["problem"] and fault["expected"] for fault in said["details"])
    assert DUMMY_KEY not in answer.text
    assert PICTURE[:60] not in answer.text
    assert "Traceback" not in answer.text
    assert worker.queued() == 0
    assert not [path for path in Path(settings.outputs).rglob("*") if path.is_file()]


@pytest.mark.parametrize("job_id", IDS)
def test_60_an_id_nobody_was_given_is_not_found(
    client: FlaskClient, worker: HandWorker, job_id: str
) -> None:
    answer = client.get(f"/status/{job_id}")

    assert answer.status_code == 404
    assert answer.get_json().keys() == {"error", "details"}


def test_60_all_unknown_ids_are_answered_alike(client: FlaskClient, worker: HandWorker) -> None:
    assert len({client.get(f"/status/{job_id}").text for job_id in IDS[:4]}) == 1
