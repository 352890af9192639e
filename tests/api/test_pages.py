"""The pages' files, and /recent for browsers and for programs that want the jobs themselves."""

import re
from typing import Any

import pytest
from flask.testing import FlaskClient

from api.auth import DUMMY_KEY
from api.page_files import FOLDER, page_files
from api.settings import ApiSettings
from tests.api.conftest import HandWorker

KEY = {"X-API-Key": DUMMY_KEY}
OTHER = {"X-API-Key": "ключ".encode().decode("latin-1")}
ADMIN = {"X-API-Key": "admin"}
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
SMALL = {"W": 64, "H": 64}


@pytest.fixture
def settings(settings: ApiSettings) -> ApiSettings:
    return settings.model_copy(update={"admin_keys": ("admin",), "recent_of": "all"})


def submit(client: FlaskClient, prompt: str, key: dict[str, str] = KEY) -> str:
    answer = client.post("/generate", json={"prompt": prompt, **SMALL}, headers=key)
    return answer.get_json()["task_id"]


def recent(client: FlaskClient, key: dict[str, str] = KEY) -> dict[str, Any]:
    return client.get("/recent?facts=true", headers=key).get_json()


def prompts(jobs: list[dict[str, Any]]) -> list[str]:
    return [job["request"]["prompt"] for job in jobs]


@pytest.mark.parametrize(
    "accept", ["*/*", "application/json", "", "image/png", "text/*;q=0.1, */*"]
)
def test_recent_is_json_for_programs(client: FlaskClient, accept: str) -> None:
    answer = client.get("/recent", headers={**KEY, "Accept": accept})

    assert answer.get_json() == {"Recent_finished_images": []}
    assert answer.vary.as_set() == {"accept"}


def test_recent_is_a_page_for_browsers_that_tells_nothing_by_itself(
    client: FlaskClient, worker: HandWorker
) -> None:
    submit(client, "a secret cat")
    worker.draw()

    answer = client.get("/recent", headers={"Accept": BROWSER})

    assert answer.status_code == 200
    assert answer.mimetype == "text/html"
    assert "secret" not in answer.text
    assert "accept" in answer.vary.as_set()


def test_the_jobs_under_way_are_told_with_what_they_are_to_draw(
    client: FlaskClient, worker: HandWorker
) -> None:
    for prompt in ("first", "second", "third"):
        submit(client, prompt)
    claim, _ = worker.claim()
    worker.report(claim, 3, 10)

    found = recent(client)

    assert prompts(found["Under_way"]) == ["first", "second", "third"]
    running, waiting, _ = found["Under_way"]
    assert (running["State"], running["step"], running["finished"]) == ("PROGRESS", 3, None)
    assert running["started"] >= running["submitted"]
    assert (waiting["State"], waiting["queue_place"], waiting["started"]) == ("PENDING", 1, None)
    assert found["Finished"] == []


def test_what_others_have_under_way_is_not_told_but_to_an_admin(
    client: FlaskClient, worker: HandWorker
) -> None:
    submit(client, "mine")
    claim, request = worker.claim()
    submit(client, "theirs", OTHER)

    assert prompts(recent(client)["Under_way"]) == ["mine"]
    assert prompts(recent(client, OTHER)["Under_way"]) == ["theirs"]
    assert prompts(recent(client, ADMIN)["Under_way"]) == ["mine", "theirs"]
    worker.finish(claim, request)
    assert prompts(recent(client, OTHER)["Finished"]) == ["mine"]


def test_beyond_the_last_ten_only_ones_own_pictures_are_told(
    client: FlaskClient, worker: HandWorker
) -> None:
    for number in range(12):
        submit(client, f"mine {number}")
        worker.draw()
        submit(client, f"theirs {number}", OTHER)
        worker.draw()

    mine = prompts(recent(client)["Finished"])

    assert mine[:3] == ["theirs 11", "mine 11", "theirs 10"]
    assert [prompt for prompt in mine if "theirs" in prompt] == [
        f"theirs {number}" for number in (11, 10, 9, 8, 7)
    ]
    assert len([prompt for prompt in mine if "mine" in prompt]) == 12
    assert len(recent(client, ADMIN)["Finished"]) == 24


def test_a_cancelled_job_is_no_longer_under_way(client: FlaskClient, worker: HandWorker) -> None:
    job_id = submit(client, "a cat")
    client.post(f"/cancel/{job_id}", headers=KEY)

    assert recent(client) == {"Recent_finished_images": [], "Under_way": [], "Finished": []}


def test_only_the_pages_own_files_are_served(client: FlaskClient) -> None:
    assert client.get("/pages/generate.js").status_code == 200
    for name in ("none.js", "../auth.py", "..%2fauth.py", "%2e%2e/auth.py", ""):
        assert client.get(f"/pages/{name}").status_code == 404


def test_the_pages_need_nothing_from_elsewhere_and_have_nothing_inline() -> None:
    for path in FOLDER.iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|innerHTML|outerHTML|insertAdjacentHTML|eval\(", text), path
        if path.suffix == ".html":
            assert not re.search(r"\s(style|on\w+)=|<style|<script(?![^>]*\ssrc=)", text), path


def test_what_the_pages_name_is_there() -> None:
    for path in FOLDER.iterdir():
        text = path.read_text()
        named = re.findall(r'"/pages/([\w.]+)"', text) + re.findall(r'from "\./([\w.]+)"', text)
        assert set(named) <= page_files().keys(), path
