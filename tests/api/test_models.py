"""GET /models, and what prompts may add to a model."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from api import create_app
from api.auth import DUMMY_KEY
from api.settings import ApiSettings
from jobs.worker_facts import ModelFacts
from tests.api.conftest import HandWorker, announce

KEY = {"X-API-Key": DUMMY_KEY}


TINY = ModelFacts(
    name="tiny",
    kind="tiny",
    native_size=256,
    bytes=15_900_000,
    hash="0123456789",
    resident=True,
)
SD15 = ModelFacts(name="sd15", bytes=4_265_146_304)


def test_every_model_is_told_with_its_kind_size_hash_and_whether_it_is_resident(
    client: FlaskClient, worker: HandWorker
) -> None:
    announce(worker, "a", TINY, SD15, loras=("ink",), embeddings=("shiny",), vaes=("mse",))
    known = SD15.model_copy(update={"kind": "sd1", "hash": "abcdef0123", "resident": True})
    announce(worker, "b", TINY.model_copy(update={"resident": False}), known, loras=("oil",))
    told: Any = client.get("/models").json
    assert told == {
        "models": [
            {
                "name": "sd15",
                "kind": "sd1",
                "native_size": 512,
                "size": 4_265_146_304,
                "hash": "abcdef0123",
                "resident": True,
                "problem": "",
                "defaults": {},
                "presets": {},
                "defaults_problem": "",
            },
            {
                "name": "tiny",
                "kind": "tiny",
                "native_size": 256,
                "size": 15_900_000,
                "hash": "0123456789",
                "resident": True,
                "problem": "",
                "defaults": {},
                "presets": {},
                "defaults_problem": "",
            },
        ],
        "default_model": "tiny",
        "loras": ["ink", "oil"],
        "lora_defaults": {},
        "lora_problems": {},
        "embeddings": ["shiny"],
        "vaes": ["mse"],
    }
    capable: Any = client.get("/capabilities").json
    assert (capable["loras"], capable["embeddings"]) == (["ink", "oil"], ["shiny"])
    assert capable["vaes"] == ["mse"]
    assert capable["native_sizes"] == {"sd15": 512, "tiny": 256}
    assert capable["max_sides"] == {"sd15": 512, "tiny": 512}


@pytest.mark.parametrize("ckpt", ["big", "default", {"absent": "a.ckpt", "big": "b.ckpt"}])
def test_a_size_may_be_asked_of_the_model_whose_native_size_it_is(
    settings: ApiSettings, worker: HandWorker, ckpt: Any
) -> None:
    client = create_app(settings.model_copy(update={"default_model": "big"})).test_client()
    big = ModelFacts(name="big", kind="sd2-v", native_size=768)
    announce(worker, "by-hand", TINY, big)
    announced: Any = client.get("/capabilities").json
    side = announced["max_sides"]["big"]
    body = {"prompt": "a", "ckpt": ckpt, "H": side, "W": side}

    assert side == announced["native_sizes"]["big"] == 768
    assert client.post("/generate", json=body, headers=KEY).status_code == 202
    answer = client.post("/generate", json={**body, "ckpt": "tiny"}, headers=KEY)
    details: Any = (answer.json or {})["details"]
    assert {(d["field"], d["expected"]) for d in details} == {
        ("H", "a multiple of 8 from 64 up to 512"),
        ("W", "a multiple of 8 from 64 up to 512"),
    }


def test_without_workers_nothing_is_resident(client: FlaskClient, worker: HandWorker) -> None:
    announce(worker, "by-hand", TINY)
    worker.workers.withdraw("by-hand")
    told: Any = client.get("/models").json
    assert [(model["name"], model["resident"]) for model in told["models"]] == [("tiny", False)]


def test_a_lora_or_embedding_nobody_has_is_a_400_that_lists_those_there_are(
    client: FlaskClient, worker: HandWorker
) -> None:
    announce(worker, "by-hand", TINY, loras=("ink", "oil-paint"), embeddings=("shiny",))
    body = {
        "prompt": "a <dull> cat <lora:oilpaint:0.8>",
        "negative_prompt": "<grey-ish>",
        "H": 64,
        "W": 64,
    }
    answer = client.post("/generate", json=body, headers=KEY)
    assert answer.status_code == 400
    details: Any = (answer.json or {})["details"]
    found = {(d["field"], d["code"], d["value"]): d["expected"] for d in details}
    assert found == {
        ("prompt", "unknown_embedding", "dull"): "one of: shiny",
        ("prompt", "unknown_lora", "oilpaint"): "one of: oil-paint, ink",
        ("negative_prompt", "unknown_embedding", "grey-ish"): "one of: shiny",
    }


def test_an_autoencoder_nobody_has_is_a_400_that_lists_those_there_are(
    client: FlaskClient, worker: HandWorker
) -> None:
    announce(worker, "by-hand", TINY, vaes=("mse", "kl-f8"))
    body = {"prompt": "a cat", "H": 64, "W": 64}
    answer = client.post("/generate", json={**body, "vae": "kl-f9"}, headers=KEY)
    (detail,) = (answer.json or {})["details"]
    assert (answer.status_code, detail["field"], detail["code"]) == (400, "vae", "unknown_vae")
    assert detail["expected"] == "one of: kl-f8, mse"
    for vae in ("mse", " MSE.pt".lower(), "kl-f8.safetensors", None):
        answer = client.post("/generate", json={**body, "vae": vae}, headers=KEY)
        assert answer.status_code == 202


def test_a_model_is_asked_for_as_other_tools_write_it(
    client: FlaskClient, worker: HandWorker
) -> None:
    ink = ModelFacts(name="style/ink é", hash="6ce0161689")
    announce(worker, "by-hand", TINY, ink)
    for ckpt in ("style\\ink é", "ink e\u0301.safetensors", "ink é [6ce0161689]"):
        body = {"prompt": "a cat", "H": 64, "W": 64, "ckpt": ckpt}
        answer: Any = client.post("/generate", json=body, headers=KEY)
        assert (answer.status_code, answer.json["active_model"]) == (202, ink.name)
    body["ckpt"] = "ink é [0000000000]"
    answer = client.post("/generate", json=body, headers=KEY)
    assert (answer.status_code, answer.json["details"][0]["code"]) == (400, "wrong_model_hash")


def test_those_there_are_may_be_named(client: FlaskClient, worker: HandWorker) -> None:
    announce(worker, "by-hand", TINY, loras=("ink",), embeddings=("shiny",))
    body = {"prompt": "a <SHINY> cat <lora:ink:0.8>", "negative_prompt": "shiny", "H": 64, "W": 64}
    assert client.post("/generate", json=body, headers=KEY).status_code == 202


def test_other_names_of_a_lora_and_embeddings_in_its_file_are_accepted(
    client: FlaskClient, worker: HandWorker
) -> None:
    announce(
        worker,
        "by-hand",
        TINY,
        loras=("style/ink",),
        lora_aliases=("ink", "inked"),
        bundled_embeddings=("charm",),
    )
    for tag in ("<lora:style/ink:1:0.5>", "<lora:ink:te=1>", "<lyco:inked> a <CHARM>"):
        body = {"prompt": f"a cat {tag}", "H": 64, "W": 64}
        assert client.post("/generate", json=body, headers=KEY).status_code == 202
    assert client.get("/models").json["loras"] == ["style/ink"]  # type: ignore[index]


def test_a_lora_in_the_negative_prompt_is_a_400(client: FlaskClient, worker: HandWorker) -> None:
    announce(worker, "by-hand", TINY, loras=("ink",))
    body = {"prompt": "a cat", "negative_prompt": "<lora:ink:1>", "H": 64, "W": 64}
    answer = client.post("/generate", json=body, headers=KEY)
    assert answer.status_code == 400
    details: Any = (answer.json or {})["details"]
    assert [(d["field"], d["code"]) for d in details] == [("negative_prompt", "bad_prompt")]


def test_a_loading_model_shows_how_far_it_is(client: FlaskClient, worker: HandWorker) -> None:
    body = {"prompt": "a cat", "H": 64, "W": 64}
    accepted: Any = client.post("/generate", json=body, headers=KEY).json
    claim, _ = worker.claim()
    worker.claims.loading(claim, 0.45)
    told: Any = client.get(accepted["Location"]).json
    assert (told["State"], told["Loading"]) == ("LOADING", 0.45)
    assert told["Status"] == "loading the model tiny, 45%"
    worker.report(claim, 1, 5)
    worker.claims.loading(claim, 0.5)
    told = client.get(accepted["Location"]).json
    assert told["State"] == "PROGRESS"
    assert "Loading" not in told
