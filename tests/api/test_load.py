"""How much one key may ask for, and everybody together."""

import pytest
from flask.testing import FlaskClient
from redis import Redis

from api import create_app
from api.auth import DUMMY_KEY
from api.settings import ApiSettings
from tests.api.conftest import HandWorker

BODY = {"prompt": "a cat"}
KEY = {"X-API-Key": DUMMY_KEY}
OTHER = {"X-API-Key": "ключ".encode().decode("latin-1")}


def client_with(settings: ApiSettings, **changed: object) -> FlaskClient:
    return create_app(settings.model_copy(update=changed)).test_client()


def test_a_key_that_submits_too_often_hears_when_it_may_again(
    settings: ApiSettings, worker: HandWorker
) -> None:
    client = client_with(settings, rate_limit="3/minute")
    picture = {"init_img": "x"}
    answers = [
        client.post("/generate", json=BODY, headers=KEY),
        client.post("/generate", json={"W": 1}, headers=KEY),
        client.post("/img2img", json={**BODY, **picture}, headers=KEY),
    ]
    assert [answer.status_code for answer in answers] == [202, 400, 400]

    refused = client.post("/generate", json=BODY, headers=KEY)

    assert refused.status_code == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert "3/minute" in refused.get_json()["error"]
    assert refused.get_json()["details"] == []
    assert client.post("/generate", json=BODY, headers=OTHER).status_code == 202


def test_asking_how_a_job_is_doing_is_not_counted(
    settings: ApiSettings, worker: HandWorker
) -> None:
    client = client_with(settings, rate_limit="1/hour")
    location = client.post("/generate", json=BODY, headers=KEY).headers["Location"]

    for _ in range(20):
        assert client.get(location).status_code == 200
        assert client.get("/recent", headers=KEY).status_code == 200
    assert client.post("/generate", json=BODY, headers=KEY).status_code == 429


def test_a_wrong_key_counts_for_nobody(settings: ApiSettings, worker: HandWorker) -> None:
    client = client_with(settings, rate_limit="1/hour")
    for _ in range(5):
        assert client.post("/generate", json=BODY, headers={"X-API-Key": "x"}).status_code == 401
    assert client.post("/generate", json=BODY, headers=KEY).status_code == 202


def test_all_apis_on_one_redis_count_together(settings: ApiSettings, worker: HandWorker) -> None:
    first, second = (client_with(settings, rate_limit="1/hour") for _ in range(2))

    assert first.post("/generate", json=BODY, headers=KEY).status_code == 202
    assert second.post("/generate", json=BODY, headers=KEY).status_code == 429


def test_while_redis_is_away_the_rate_still_holds(settings: ApiSettings) -> None:
    nowhere = "redis://127.0.0.1:1/0"
    client = client_with(
        settings,
        rate_limit="2/hour",
        celery_broker_url=nowhere,
        celery_result_backend=nowhere,
    )

    codes = [client.post("/generate", json=BODY, headers=KEY).status_code for _ in range(4)]

    assert codes == [503, 503, 429, 429]


def test_a_redis_that_comes_to_refuse_writes_is_no_error_of_the_api(
    settings: ApiSettings, worker: HandWorker, redis_url: str
) -> None:
    client = client_with(settings, rate_limit="2/hour")
    assert client.post("/generate", json=BODY, headers=KEY).status_code == 202
    with Redis.from_url(redis_url) as redis:
        used = redis.info("memory")["used_memory"]
        redis.config_set("maxmemory", used // 2)
        try:
            codes = [client.post("/generate", json=BODY, headers=KEY).status_code for _ in range(4)]
        finally:
            redis.config_set("maxmemory", 0)
    assert codes == [503, 503, 429, 429]


def test_no_rate_is_a_choice(settings: ApiSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATE_LIMIT", "None")
    assert ApiSettings().rate_limit == "none"
    client = client_with(settings, rate_limit="none")
    assert client.post("/generate", json=BODY, headers=KEY).status_code == 503


def test_a_key_that_fills_the_queue_is_told_to_wait(
    settings: ApiSettings, worker: HandWorker
) -> None:
    client = client_with(settings, max_waiting_per_key=2)
    for _ in range(2):
        assert client.post("/generate", json=BODY, headers=KEY).status_code == 202

    refused = client.post("/generate", json=BODY, headers=KEY)

    assert refused.status_code == 429
    assert "2 jobs of this key wait" in refused.get_json()["error"]
    assert int(refused.headers["Retry-After"]) >= 1
    assert client.post("/generate", json=BODY, headers=OTHER).status_code == 202
    worker.draw()
    assert client.post("/generate", json=BODY, headers=KEY).status_code == 202


def test_a_key_whose_jobs_hold_too_much_memory_is_told_to_wait(
    settings: ApiSettings, worker: HandWorker
) -> None:
    client = client_with(settings, max_bytes_per_key=150_000)
    long = {**BODY, "prompt": "🐕" * 20_000}
    codes = [client.post("/generate", json=long, headers=KEY).status_code for _ in range(3)]
    assert codes == [202, 429, 429]

    refused = client.post("/generate", json=long, headers=KEY)
    assert "more than 150000 bytes" in refused.get_json()["error"]
    assert refused.get_json()["details"] == []
    assert int(refused.headers["Retry-After"]) >= 1
    assert client.post("/generate", json=BODY, headers=KEY).status_code == 202
    assert client.post("/generate", json=long, headers=OTHER).status_code == 202
    worker.draw()
    assert client.post("/generate", json=long, headers=KEY).status_code == 202


def test_a_full_queue_takes_nobody_in(settings: ApiSettings, worker: HandWorker) -> None:
    client = client_with(settings, max_waiting=2)
    for headers in (KEY, OTHER):
        assert client.post("/generate", json=BODY, headers=headers).status_code == 202

    refused = client.post("/generate", json=BODY, headers=OTHER)

    assert refused.status_code == 503
    assert "queue is full" in refused.get_json()["error"]
    assert int(refused.headers["Retry-After"]) >= 1
