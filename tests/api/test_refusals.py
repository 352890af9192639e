"""A refused request leaves one line in the log, which tells neither prompt nor key."""

import base64
from typing import Any

import pytest
from flask.testing import FlaskClient
from structlog.testing import capture_logs

from api.auth import DUMMY_KEY, KeyRing
from api.settings import ApiSettings
from tests.api.a1111.conftest import basic
from tests.api.conftest import HandWorker, painted

SUBMITTER = KeyRing([DUMMY_KEY]).authenticate([DUMMY_KEY]).submitter
KEY = {"X-API-Key": DUMMY_KEY}
BEARER = {"Authorization": f"Bearer {DUMMY_KEY}"}
PROMPT = "a secret dragon"
PICTURE = base64.b64encode(painted((64, 64), "red", "png")).decode()


@pytest.mark.parametrize(
    ("path", "headers", "body", "told"),
    [
        (
            "/generate",
            KEY,
            {"prompt": PROMPT, "W": 1, "ddim_steps": "x", PROMPT: 1},
            {"status": 400, "code": "type", "fields": "ddim_steps,W,?", "faults": 3},
        ),
        (
            "/img2img",
            {},
            {"api_key": DUMMY_KEY, "prompt": PROMPT, "init_img": PICTURE, "wdith": 5},
            {"status": 400, "code": "unknown_field", "fields": "wdith", "faults": 1},
        ),
        (
            "/generate",
            {"X-API-Key": "wrong"},
            {"prompt": PROMPT},
            {"status": 401, "code": "unauthorized", "submitter": None},
        ),
        (
            "/generate",
            KEY,
            {"prompt": PROMPT, "type": "standard"},
            {"status": 503, "code": "no_worker_for_type", "log_level": "warning"},
        ),
        (
            "/v1/images/generations",
            BEARER,
            {"prompt": PROMPT, "n": 0, "model": "sd15"},
            {"status": 400, "fields": "n,model", "faults": 2},
        ),
        (
            "/sdapi/v1/txt2img",
            basic(DUMMY_KEY),
            {"prompt": PROMPT, "steps": "many"},
            {"status": 422, "fields": "steps", "faults": 1},
        ),
        ("/no/such/address", KEY, {}, {"status": 404, "code": "not_found", "submitter": None}),
    ],
)
def test_a_refused_request_is_one_line_without_prompt_key_and_picture(
    client: FlaskClient,
    worker: HandWorker,
    path: str,
    headers: dict[str, str],
    body: dict[str, Any],
    told: dict[str, Any],
) -> None:
    with capture_logs() as lines:
        answer = client.post(path, json=body, headers=headers)

    (line,) = lines
    assert answer.status_code == told["status"]
    expected = {"event": "request refused", "log_level": "info", "submitter": SUBMITTER} | told
    assert {name: line[name] for name in expected} == expected
    assert (line["method"], line["path"]) == ("POST", path)
    assert all(secret not in str(line) for secret in (PROMPT, DUMMY_KEY, PICTURE[:20], "wrong"))


def test_nothing_is_refused_where_a_job_is_accepted(
    client: FlaskClient, worker: HandWorker
) -> None:
    with capture_logs() as lines:
        accepted = client.post("/generate", json={"prompt": PROMPT}, headers=KEY)
        client.get(accepted.headers["Location"])

    assert [line["event"] for line in lines] == ["job accepted"]


@pytest.mark.parametrize(
    ("body", "images"),
    [
        ({"n_iter": 2}, 2),
        ({"n_iter": 2, "vary": {"scale": [4, 8, 12], "seed": [1, 2]}}, 12),
        ({"n_iter": 2, "wildcards": True, "vary": {"scale": [4, 8]}}, 4),
        ({"n_iter": 2, "from-file": "animals"}, 6),
        ({"n_iter": 2, "from-file": "animals", "wildcards": True}, 6),
    ],
)
def test_the_log_says_how_many_images_were_asked_for(
    client: FlaskClient,
    worker: HandWorker,
    settings: ApiSettings,
    body: dict[str, Any],
    images: int,
) -> None:
    settings.prompts_dir.mkdir(parents=True, exist_ok=True)
    (settings.prompts_dir / "animals").write_text("a cat\na dog\n\na fox\n")
    with capture_logs() as lines:
        client.post(
            "/generate", json={"prompt": "a {cat|dog}", "W": 64, "H": 64, **body}, headers=KEY
        )

    assert [line["images"] for line in lines] == [images]
