"""GET /webhook-secret: every key gets its own secret, and no other."""

from typing import Any

import pytest

from api import create_app
from api.auth import DUMMY_KEY
from api.settings import ApiSettings

MASTER = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def secrets_of(settings: ApiSettings, key: str) -> Any:
    with create_app(settings).test_client() as client:
        answer = client.get("/webhook-secret", headers={"Authorization": f"Bearer {key}"})
    return answer.status_code, answer.json, answer.headers.get("Cache-Control")


@pytest.fixture
def with_master(settings: ApiSettings) -> ApiSettings:
    return settings.model_copy(
        update={"webhook_master_secret": (MASTER,), "api_keys": (DUMMY_KEY, "another")}
    )


def test_each_key_has_a_secret_of_its_own(with_master: ApiSettings) -> None:
    found = [secrets_of(with_master, key) for key in (DUMMY_KEY, DUMMY_KEY, "another")]
    assert [(code, cached) for code, _, cached in found] == [(200, "no-store")] * 3
    first, again, other = (body["secrets"] for _, body, _ in found)
    assert first == again
    assert len({*first, *other, MASTER}) == 3


def test_a_wrong_key_gets_none(with_master: ApiSettings) -> None:
    code, body, _ = secrets_of(with_master, "wrong")
    assert (code, "secrets" in body) == (401, False)


def test_the_shared_secret_is_never_shown(settings: ApiSettings) -> None:
    shared = settings.model_copy(update={"webhook_secret": (MASTER,)})
    code, body, _ = secrets_of(shared, DUMMY_KEY)
    assert (code, MASTER in str(body)) == (404, False)
    assert "WEBHOOK_MASTER_SECRET" in body["error"]
