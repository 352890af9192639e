"""POST /generate and /img2img."""

import base64
import json
from pathlib import Path
from threading import Thread
from typing import Any, cast

import pytest
from flask.testing import FlaskClient

from api import create_app
from api.auth import DUMMY_KEY
from api.dialects.native.template_files import ENDPOINTS
from api.settings import ApiSettings
from jobs.names import JobKind
from jobs.pictures.store import PictureStore
from tests.api.conftest import HandWorker, painted

TEMPLATES = Path(__file__).parents[2] / "templates"
KEY = {"X-API-Key": DUMMY_KEY}


@pytest.mark.parametrize("template", sorted(path.name for path in TEMPLATES.glob("*.json")))
def test_every_template_is_accepted_as_it_is(
    client: FlaskClient, worker: HandWorker, template: str
) -> None:
    worker.announce("standard", "optimized")
    path = ENDPOINTS[cast("JobKind", template.partition("-")[0])]

    answer = client.post(
        path, data=(TEMPLATES / template).read_bytes(), content_type="application/json"
    )

    assert answer.status_code == 202, answer.text
    assert answer.json is not None
    assert answer.json["active_model"] == ("" if path == "/upscale" else "tiny")
    assert answer.json["Location"] == f"/status/{answer.json['task_id']}"
    assert answer.headers["Location"] == answer.json["Location"]


@pytest.mark.parametrize("left_out", [{}, {"H": None, "W": None}])
def test_a_prompt_alone_is_enough(
    client: FlaskClient, worker: HandWorker, left_out: dict[str, None]
) -> None:
    answer = client.post("/generate", json={"prompt": "a cat", **left_out}, headers=KEY)

    assert answer.status_code == 202, answer.text
    claim, request = worker.claim()
    assert claim.job_id == answer.get_json()["task_id"]
    assert (request.prompt, request.W, request.H) == ("a cat", 512, 512)


def test_a_body_without_a_type_goes_to_the_type_that_is_served(
    client: FlaskClient, worker: HandWorker
) -> None:
    worker.announce("standard")

    assert client.post("/generate", json={"prompt": "a cat"}, headers=KEY).status_code == 202
    worker.claim("standard")


@pytest.mark.parametrize(
    ("sent", "size"),
    [({}, (1024, 1024)), ({"W": 768, "H": None}, (768, 1024)), ({"H": 512, "W": 512}, (512, 512))],
)
def test_a_size_that_is_left_out_suits_a_model_trained_at_1024_pixels(
    client: FlaskClient, worker: HandWorker, sent: dict[str, Any], size: tuple[int, int]
) -> None:
    worker.announce("optimized", native_size=1024)

    answer = client.post("/generate", json={"prompt": "a cat", **sent}, headers=KEY)

    assert answer.status_code == 202, answer.text
    _, request = worker.claim()
    assert size == (request.W, request.H)


@pytest.mark.parametrize("side", [100, 520, 4096, "large"])
def test_a_fault_of_a_side_names_the_limit_that_holds(
    client: FlaskClient, worker: HandWorker, side: object
) -> None:
    answer = client.post("/generate", json={"prompt": "a cat", "H": side}, headers=KEY)

    assert answer.status_code == 400
    (fault,) = answer.get_json()["details"]
    assert (fault["field"], fault["expected"]) == ("H", "a multiple of 8 from 64 up to 512")


@pytest.mark.parametrize("seed", [None, False])
def test_a_random_seed_is_drawn_and_reported(
    client: FlaskClient, worker: HandWorker, seed: Any
) -> None:
    seeds = set()
    for _ in range(2):
        body = {"prompt": "a cat", "seed": seed, "return_base64": True}
        location = client.post("/generate", json=body, headers=KEY).headers["Location"]
        worker.draw()
        seeds.add(client.get(location).get_json()["seeds"][0])

    assert len(seeds) == 2


def test_a_missing_model_of_the_mapping_form_is_replaced_with_a_warning(
    client: FlaskClient, worker: HandWorker
) -> None:
    body = {"prompt": "a cat", "ckpt": {"sd14": "model.ckpt"}}

    answer = client.post("/generate", json=body, headers=KEY).get_json()

    assert answer["active_model"] == "tiny"
    assert any("sd14" in warning for warning in answer["Warnings"])


def test_the_answer_says_how_its_prompts_were_read(
    client: FlaskClient, worker: HandWorker, settings: ApiSettings
) -> None:
    def warnings(**fields: str) -> list[str]:
        body = {"prompt": "a cat", **fields}
        return client.post("/generate", json=body, headers=KEY).get_json()["Warnings"]

    (blend,) = warnings(prompt="a cat:0.25 a dog:0.75")
    assert blend.startswith("prompt: it is a blend of 'a cat' 25.0%, 'a dog' 75.0%")
    assert warnings(prompt="a clock 10:30 a red dragon on a beach") == []
    (editing,) = warnings(negative_prompt="[fog:rain:0.5]")
    assert editing.startswith("negative_prompt: it has prompt editing, '[fog:rain:0.5]'")

    settings.prompts_dir.mkdir(parents=True)
    (settings.prompts_dir / "zoo.txt").write_text("a cat AND a dog\n" * 9 + "a cow\n")
    lines = warnings(**{"from-file": "zoo.txt"})
    assert "'a cat AND a dog' has a composition of prompts" in lines[0]
    assert lines[-1] == "from-file: 4 more such warnings"


def test_a_random_variation_seed_is_drawn_once_for_the_job(
    client: FlaskClient, worker: HandWorker
) -> None:
    for given in (None, -1, 7):
        body = {"prompt": "a cat", "variation_strength": 0.2, "variation_seed": given}
        assert client.post("/generate", json=body, headers=KEY).status_code == 202
        _, request = worker.claim()
        assert request.variation_seed is not None
        assert (request.variation_seed == 7) == (given == 7)


def test_the_answer_says_what_the_sampler_does_not_take(
    client: FlaskClient, worker: HandWorker
) -> None:
    body = {"prompt": "a cat", "sampler": "unipc", "scheduler": "Karras", "tiling": True}
    (warning,) = client.post("/generate", json=body, headers=KEY).get_json()["Warnings"]
    assert warning == "scheduler: the sampler UniPC does not take it; it had no effect"


def test_the_init_image_waits_in_the_store_and_not_in_the_record(
    client: FlaskClient, worker: HandWorker, settings: ApiSettings
) -> None:
    picture = base64.b64encode(painted((64, 64), "red", "png")).decode()

    answer = client.post("/img2img", json={"prompt": "a", "init_img": picture}, headers=KEY)

    claim, _ = worker.claim()
    assert "init_img" not in claim.stored_request
    assert PictureStore(settings.outputs).read_input(answer.get_json()["task_id"], "init")


def test_all_faults_are_told_at_once(client: FlaskClient, worker: HandWorker) -> None:
    body = {"prompt": "a", "W": 63, "sampler": "k_eulr", "ckpt": "sd99", "sheep": 1}

    answer = client.post("/generate", json=body, headers=KEY)

    assert answer.status_code == 400
    details = {fault["field"]: fault for fault in answer.get_json()["details"]}
    assert details.keys() == {"W", "sampler", "ckpt", "sheep"}
    assert details["W"].keys() >= {"field", "value", "problem", "expected"}
    assert "tiny" in details["ckpt"]["expected"]


def test_a_type_that_nobody_serves_is_refused_with_those_that_are(
    client: FlaskClient, worker: HandWorker
) -> None:
    answer = client.post("/generate", json={"prompt": "a", "type": "standard"}, headers=KEY)

    assert answer.status_code == 503
    assert "optimized" in answer.get_json()["error"]


def test_without_any_worker_ever_a_job_is_refused(client: FlaskClient) -> None:
    assert client.post("/generate", json={"prompt": "a"}, headers=KEY).status_code == 503


def test_while_the_workers_restart_jobs_are_taken_in(
    client: FlaskClient, worker: HandWorker
) -> None:
    worker.workers.withdraw("by-hand")

    assert client.post("/generate", json={"prompt": "a"}, headers=KEY).status_code == 202


@pytest.mark.parametrize("as_base64", [True, False])
def test_a_synchronous_request_is_answered_with_the_picture(
    client: FlaskClient, worker: HandWorker, as_base64: bool
) -> None:
    drawing = Thread(target=worker.draw)
    drawing.start()
    body = {"prompt": "a", "synchronous_request": True, "return_base64": as_base64}

    answer = client.post("/generate", json=body, headers=KEY)

    drawing.join()
    assert answer.status_code == 200, answer.text
    if as_base64:
        assert base64.b64decode(answer.get_json()["Image"][0])
    else:
        assert answer.mimetype == "image/png"
        assert answer.data.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("code", "answered"),
    [
        ("out_of_memory", 500),
        ("of_another_version", 500),
        ("bad_prompt", 400),
        ("lora_mismatch", 400),
        ("unknown_lora", 400),
        ("unknown_embedding", 400),
        ("unknown_vae", 400),
    ],
)
def test_a_synchronous_request_whose_job_fails_cannot_be_taken_for_a_picture(
    client: FlaskClient, worker: HandWorker, code: str, answered: int
) -> None:
    failing = Thread(target=worker.fail, args=("it failed", code))
    failing.start()

    answer = client.post(
        "/generate", json={"prompt": "a", "synchronous_request": True}, headers=KEY
    )

    failing.join()
    assert answer.status_code == answered
    assert answer.get_json()["error"] == "it failed"


def test_a_synchronous_request_that_takes_too_long_is_told_where_to_look(
    settings: ApiSettings, worker: HandWorker
) -> None:
    impatient = create_app(settings.model_copy(update={"sync_timeout": 0.1}))
    body = {"prompt": "a", "synchronous_request": True}

    answer = impatient.test_client().post("/generate", json=body, headers=KEY)

    assert answer.status_code == 202
    assert answer.get_json()["Warnings"]
    worker.claim()


def test_without_a_broker_nothing_is_accepted(settings: ApiSettings) -> None:
    nowhere = "redis://127.0.0.1:1/0"
    app = create_app(
        settings.model_copy(update={"celery_broker_url": nowhere, "celery_result_backend": nowhere})
    )

    answer = app.test_client().post("/generate", json={"prompt": "a"}, headers=KEY)

    assert answer.status_code == 503
    assert "Retry-After" in answer.headers
    assert answer.get_json()["error"].endswith("nothing was accepted")
    for path in ("/status/x", "/events/x", "/recent"):
        unanswered = app.test_client().get(path, headers=KEY)
        assert unanswered.status_code == 503
        assert "accepted" not in unanswered.get_json()["error"]


def test_wildcards_are_drawn_from_the_files_that_capabilities_lists(
    client: FlaskClient, worker: HandWorker, settings: ApiSettings
) -> None:
    settings.wildcards_dir.mkdir(parents=True)
    (settings.wildcards_dir / "animal.txt").write_text("cat\ndog\ncow\n")
    assert client.get("/capabilities").get_json()["wildcards"] == ["animal"]
    body = {"prompt": "a __animal__", "n_iter": 8, "wildcards": True, "seed": -1}
    wrong = client.post("/generate", json=body | {"prompt": "__animals__"}, headers=KEY)
    assert (wrong.status_code, "did you mean animal?" in wrong.text) == (400, True)

    assert client.post("/generate", json=body, headers=KEY).status_code == 202
    claim, request = worker.claim()
    texts = json.loads(claim.stored_request)["prompts"]
    assert len(texts) == 8
    assert set(texts) <= {"a cat", "a dog", "a cow"}
    again = client.post("/generate", json=body | {"seed": request.seed}, headers=KEY)
    assert again.status_code == 202
    assert json.loads(worker.claim()[0].stored_request)["prompts"] == texts
