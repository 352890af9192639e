"""A1111's lists, memory, and the routes that only have to answer."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from api.auth import DUMMY_KEY
from jobs.worker_facts import ModelFacts, WorkerFacts
from tests.api.a1111.conftest import basic
from tests.api.conftest import HandWorker


def announce(worker: HandWorker, worker_id: str = "by-hand", **more: Any) -> None:
    facts = WorkerFacts(
        worker_id=worker_id,
        types=("optimized",),
        models=("broken", "ink", "tiny"),
        default_model="tiny",
        device="cpu",
        slots=1,
        model_facts=(
            ModelFacts(name="tiny", hash="0123456789"),
            ModelFacts(name="ink"),
            ModelFacts(name="broken", problem="is damaged"),
        ),
        vaes=("mse",),
        loras=("style/oil",),
        embeddings=("shiny",),
        bundled_embeddings=("charm",),
        **more,
    )
    worker.workers.announce(facts, ttl_seconds=60)


def listed(client: FlaskClient, path: str) -> Any:
    answer = client.get(f"/sdapi/v1/{path}", headers=basic(DUMMY_KEY))
    assert answer.status_code == 200, answer.text
    return answer.get_json()


def test_models_have_a1111s_titles_and_unusable_ones_are_left_out(
    client: FlaskClient, worker: HandWorker
) -> None:
    announce(worker)

    ink, tiny = listed(client, "sd-models")

    assert (ink["title"], ink["hash"]) == ("ink", None)
    assert tiny == {
        "title": "tiny [0123456789]",
        "model_name": "tiny",
        "hash": "0123456789",
        "sha256": None,
        "filename": "tiny",
        "config": None,
    }


def test_what_prompts_and_options_may_name_is_listed(
    client: FlaskClient, worker: HandWorker
) -> None:
    announce(worker)

    assert listed(client, "sd-vae") == [{"model_name": "mse", "filename": "mse"}]
    assert listed(client, "sd-modules") == listed(client, "sd-vae")
    (lora,) = listed(client, "loras")
    assert (lora["name"], lora["alias"], lora["metadata"]) == ("style/oil", "style/oil", {})
    embeddings = listed(client, "embeddings")
    assert (set(embeddings["loaded"]), embeddings["skipped"]) == ({"shiny", "charm"}, {})


def test_every_listed_sampler_and_scheduler_is_accepted(
    client: FlaskClient, worker: HandWorker
) -> None:
    samplers = listed(client, "samplers")
    schedulers = [row["name"] for row in listed(client, "schedulers")]

    assert {"Euler a", "DPM++ 2M", "DPM++ 2M Karras", "DDIM"} <= {row["name"] for row in samplers}
    assert {"name": "Euler a", "aliases": ["k_euler_a", "k_euler_ancestral"], "options": {}} in (
        samplers
    )
    assert schedulers[0] == "automatic"
    assert "karras" in schedulers
    for name in [row["name"] for row in samplers] + [row["aliases"][0] for row in samplers]:
        body = {"prompt": "a", "sampler_name": name, "steps": 0}  # so that no job starts
        answer = client.post("/sdapi/v1/txt2img", json=body, headers=basic(DUMMY_KEY))
        assert answer.status_code == 422, name
    body = {"prompt": "a", "sampler_name": "Nosuch", "steps": 0}
    answer = client.post("/sdapi/v1/txt2img", json=body, headers=basic(DUMMY_KEY))
    assert (answer.status_code, answer.get_json()["detail"]) == (404, "Sampler not found")


def test_latents_are_made_larger_in_six_ways(client: FlaskClient, worker: HandWorker) -> None:
    names = [row["name"] for row in listed(client, "latent-upscale-modes")]

    assert names[0] == "Latent"
    assert len(names) == 6


def test_upscalers_begin_with_none(client: FlaskClient, worker: HandWorker) -> None:
    names = [row["name"] for row in listed(client, "upscalers")]

    assert names[0] == "None"
    assert {"Lanczos", "Nearest"} < set(names[1:])


@pytest.mark.parametrize(
    "path",
    [
        "hypernetworks",
        "face-restorers",
        "realesrgan-models",
        "prompt-styles",
        "script-info",
        "extensions",
    ],
)
def test_what_there_is_nothing_of_is_an_empty_list(
    client: FlaskClient, worker: HandWorker, path: str
) -> None:
    assert listed(client, path) == []


def test_there_are_no_scripts_and_flags(client: FlaskClient, worker: HandWorker) -> None:
    assert listed(client, "scripts") == {"txt2img": [], "img2img": []}
    assert listed(client, "cmd-flags") == {}


def test_memory_is_that_of_all_workers(client: FlaskClient, worker: HandWorker) -> None:
    announce(worker, memory_bytes=3_000)
    assert listed(client, "memory") == {"ram": {"used": 3_000}, "cuda": {"error": "unavailable"}}

    announce(worker, "b", memory_bytes=4_000, gpu_memory_bytes=500)
    assert listed(client, "memory") == {
        "ram": {"used": 7_000},
        "cuda": {"allocated": {"current": 500}},
    }


def test_unload_reaches_the_workers(client: FlaskClient, worker: HandWorker) -> None:
    def asked() -> int:
        facts = WorkerFacts(
            worker_id="w", types=(), models=(), default_model="tiny", device="cpu", slots=1
        )
        return worker.workers.announce(facts, ttl_seconds=60)

    before = asked()
    # text-generation-webui sends a JSON string
    for path in ("unload-checkpoint", "reload-checkpoint"):
        answer = client.post(
            f"/sdapi/v1/{path}",
            data='""',
            content_type="application/json",
            headers=basic(DUMMY_KEY),
        )
        assert answer.status_code == 200
    assert asked() == before + 1


@pytest.mark.parametrize(
    "path", ["refresh-checkpoints", "refresh-vae", "refresh-loras", "refresh-embeddings"]
)
def test_there_is_nothing_to_refresh(client: FlaskClient, worker: HandWorker, path: str) -> None:
    answer = client.post(f"/sdapi/v1/{path}", headers=basic(DUMMY_KEY))
    assert (answer.status_code, answer.get_json()) == (200, {"warnings": []})


@pytest.mark.parametrize("name", ["model_list", "module_list"])
def test_controlnet_has_no_models(client: FlaskClient, worker: HandWorker, name: str) -> None:
    answer = client.get(f"/controlnet/{name}")
    assert (answer.status_code, answer.get_json()) == (200, {name: []})


def test_interrogate_says_that_it_is_not_there(client: FlaskClient, worker: HandWorker) -> None:
    body = {"image": "", "model": "clip"}
    answer = client.post("/sdapi/v1/interrogate", json=body, headers=basic(DUMMY_KEY))
    assert answer.status_code == 404
    assert "no model that describes pictures" in answer.get_json()["detail"]
