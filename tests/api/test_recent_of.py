"""Whose jobs GET /recent tells, by RECENT_OF."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from api import create_app
from api.auth import DUMMY_KEY
from api.settings import ApiSettings
from tests.api.conftest import HandWorker

OWN = ("one", "two")


def client_of(settings: ApiSettings, **changed: Any) -> FlaskClient:
    """A client of an API whose settings were read with these changes."""
    unchanged = settings.model_dump(exclude={"api_keys", "recent_of"} | changed.keys())
    return create_app(ApiSettings(**unchanged, **changed)).test_client()


def drawn(client: FlaskClient, worker: HandWorker, key: str) -> str:
    """The address of a new finished job of this key."""
    body = {"prompt": f"of {key}", "W": 64, "H": 64}
    answer = client.post("/generate", json=body, headers={"X-API-Key": key})
    worker.draw()
    return answer.headers["Location"]


def told(client: FlaskClient, key: str) -> tuple[list[str], list[str]]:
    """The addresses of the last jobs, and those of the jobs in `Finished`."""
    answer = client.get("/recent?facts=true", headers={"X-API-Key": key}).get_json()
    finished = [f"/status/{job['task_id']}" for job in answer["Finished"]]
    assert client.get("/recent", headers={"X-API-Key": key}).get_json() == {
        "Recent_finished_images": answer["Recent_finished_images"]
    }
    return answer["Recent_finished_images"], finished


def test_once_keys_are_set_each_sees_its_own_jobs_and_an_admin_all(
    settings: ApiSettings, worker: HandWorker
) -> None:
    client = client_of(settings, api_keys=OWN, admin_keys=("admin",))
    mine, theirs = drawn(client, worker, "one"), drawn(client, worker, "two")

    assert told(client, "one") == ([mine], [mine])
    assert told(client, "two") == ([theirs], [theirs])
    assert told(client, "admin") == ([theirs, mine], [theirs, mine])


def test_ten_of_its_own_are_told_though_others_have_drawn_since(
    settings: ApiSettings, worker: HandWorker
) -> None:
    client = client_of(settings, api_keys=OWN)
    mine = [drawn(client, worker, "one") for _ in range(11)]
    for _ in range(11):
        drawn(client, worker, "two")

    latest, finished = told(client, "one")
    assert latest == mine[:0:-1]
    assert finished == mine[::-1]


def test_the_setting_shows_the_jobs_of_all_keys_to_all(
    settings: ApiSettings, worker: HandWorker
) -> None:
    client = client_of(settings, api_keys=OWN, recent_of="all")
    mine, theirs = drawn(client, worker, "one"), drawn(client, worker, "two")

    assert told(client, "one") == told(client, "two") == ([theirs, mine], [theirs, mine])


@pytest.mark.parametrize(
    ("chosen", "all_keys"),
    [
        ({"api_keys": (DUMMY_KEY,)}, True),
        ({"api_keys": (DUMMY_KEY, "one")}, False),
        ({"api_keys": ("one",)}, False),
        ({"api_keys": (DUMMY_KEY,), "admin_keys": ("admin",)}, False),
        ({"api_keys": (DUMMY_KEY,), "recent_of": "own"}, False),
        ({"api_keys": ("one",), "recent_of": "all"}, True),
    ],
)
def test_with_the_dummy_key_alone_all_see_all(chosen: dict[str, Any], all_keys: bool) -> None:
    assert ApiSettings(**chosen).recent_of_all_keys is all_keys
