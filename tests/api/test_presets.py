"""What a model wants is filled in, in every dialect, for what a request leaves out."""

import base64
import json
from threading import Thread
from typing import Any, cast

import pytest
from flask.testing import FlaskClient
from PIL import Image

from api.auth import DUMMY_KEY
from jobs.model_defaults import Defaults, LoraFacts, ModelDefaults
from jobs.pictures.output_formats import encode
from jobs.validation.hires_rules import second_pass_steps
from jobs.validation.request import TextToImage
from jobs.validation.stored_request import read_stored
from jobs.worker_facts import ModelFacts, WorkerFacts
from tests.api.a1111.conftest import basic
from tests.api.conftest import HandWorker
from tests.api.drawing import DrawingWorker
from worker.execution.infotext import infotext

KEY = {"X-API-Key": DUMMY_KEY}
LCM = Defaults(steps=4, scale=1, sampler="lcm", max_steps=12, max_scale=2, samplers=("lcm",))
WANTS = ModelDefaults(
    steps=30,
    scale=5.5,
    sampler="k_dpmpp_2m",
    scheduler="karras",
    presets={"fast": Defaults(loras=("lcm:0.9",), vae="taesd")},
)
LARGE = ModelDefaults(width=832, height=4000, vae="taesd")


@pytest.fixture
def worker(worker: HandWorker) -> HandWorker:
    """One whose default model has an opinion, with a LoRA that has another."""
    worker.workers.announce(
        WorkerFacts(
            worker_id="by-hand",
            types=("optimized",),
            models=("tiny", "plain", "large"),
            default_model="tiny",
            device="cpu",
            slots=1,
            model_facts=(
                ModelFacts(name="tiny", native_size=256, hash="0123456789", defaults=WANTS),
                ModelFacts(name="large", native_size=1024, defaults=LARGE),
                ModelFacts(name="plain", defaults_problem="plain.toml: steps is too small"),
            ),
            loras=("lcm",),
            vaes=("taesd",),
            lora_facts=(LoraFacts(name="lcm", defaults=LCM),),
        ),
        ttl_seconds=600,
    )
    return worker


def settled(request: Any) -> tuple[object, ...]:
    return request.ddim_steps, request.scale, request.sampler, request.scheduler, request.vae


def test_the_record_has_what_was_filled_in(client: FlaskClient, worker: HandWorker) -> None:
    accepted: Any = client.post("/generate", json={"prompt": "a cat"}, headers=KEY).json
    claim, request = worker.claim()
    assert settled(request) == (30, 5.5, "k_dpmpp_2m", "karras", None)
    assert accepted["Warnings"] == []
    worker.finish(claim, request)

    body = {"prompt": "a cat", "preset": "fast", "ddim_steps": 50}
    accepted = client.post("/generate", json=body, headers=KEY).json
    claim, request = worker.claim()
    assert settled(request) == (50, 1, "lcm", "automatic", "taesd")
    assert (request.prompt, request.preset) == ("a cat <lora:lcm:0.9>", "fast")
    assert accepted["Warnings"] == [
        "ddim_steps: 50 is too much for lcm, which is made for at most 12, best 4"
    ]
    worker.finish(claim, request)


def test_a_size_that_is_left_out_is_the_models_within_the_limits(
    client: FlaskClient, worker: HandWorker
) -> None:
    for body, expected in (
        ({"ckpt": "large"}, (832, 1536, "taesd")),
        ({"ckpt": "large", "W": 1024, "H": None, "vae": None}, (1024, 1536, None)),
        ({"ckpt": "tiny"}, (512, 512, None)),
    ):
        answer = client.post("/generate", json={"prompt": "a cat", **body}, headers=KEY)
        assert answer.status_code == 202
        claim, request = worker.claim()
        assert (request.W, request.H, request.vae) == expected
        worker.finish(claim, request)


def test_each_of_the_models_that_are_compared_has_its_own_values(
    client: FlaskClient, worker: HandWorker
) -> None:
    vary = {"ckpt": ["plain", "tiny [0123456789]"], "prompt": ["a cat", "a dog"]}
    accepted: Any = client.post("/generate", json={"vary": vary}, headers=KEY).json
    claim, request = worker.claim()
    assert (claim.model, accepted["active_model"]) == ("plain", "plain")
    assert request.vary == {"ckpt": ["plain", "tiny"], "prompt": ["a cat", "a dog"]}
    of_plain, of_tiny = (
        (20, 7.5, "ddim", "automatic", None),
        (30, 5.5, "k_dpmpp_2m", "karras", None),
    )
    combinations = request.combinations()
    assert [settled(each) for each in combinations] == [of_plain, of_tiny] * 2
    assert [each.ckpt for each in combinations] == ["plain", "tiny"] * 2
    assert accepted["Warnings"] == ["plain.toml: steps is too small"]
    worker.finish(claim, request)

    # a combination is what a request with its values gives; what the request says holds for all
    vary = {"preset": [None, "fast"], "W": [128, 64]}
    body = {"prompt": "a {cat|cat}", "scale": 2, "vary": vary, "wildcards": True}
    accepted = client.post("/generate", json=body, headers=KEY).json
    claim, request = worker.claim()
    slow, fast = (30, 2, "k_dpmpp_2m", "karras", None), (4, 2, "lcm", "automatic", "taesd")
    combinations = request.combinations()
    assert [settled(each) for each in combinations] == [slow, fast] * 2
    assert [each.W for each in combinations] == [128, 128, 64, 64]
    prompts = json.loads(claim.stored_request)["prompts"]
    assert prompts == ["a cat", "a cat <lora:lcm:0.9>"] * 2
    assert accepted["Warnings"] == []
    worker.finish(claim, request)


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"vary": {"ckpt": ["tiny", "lost"]}}, "vary.ckpt[1]", "unknown_model"),
        ({"vary": {"ckpt": ["tiny", 5]}}, "vary.ckpt[1]", "type"),
        ({"vary": {"ckpt": ["tiny", "plain"]}, "preset": "fast"}, "preset", "unknown_preset"),
        ({"vary": {"preset": ["fast", "quality"]}}, "vary.preset[1]", "unknown_preset"),
        ({"vary": {"W": [64, 640]}}, "vary.W[1]", "range"),
        ({"ckpt": "lost", "vary": {"scale": [1, 2]}}, "ckpt", "unknown_model"),
        ({"vary": {"ckpt": ["tiny"] * 9, "seed": [*range(9)]}}, "vary", "too_expensive"),
    ],
)
def test_a_model_that_cannot_be_compared_is_a_fault_of_its_value(
    client: FlaskClient, worker: HandWorker, body: dict[str, Any], field: str, code: str
) -> None:
    answer: Any = client.post("/generate", json={"prompt": "a cat", **body}, headers=KEY)
    assert answer.status_code == 400
    assert [(each["field"], each["code"]) for each in answer.json["details"]] == [(field, code)]


def test_a_prompt_file_gets_the_loras_of_a_preset(
    client: FlaskClient, worker: HandWorker, settings: Any
) -> None:
    settings.prompts_dir.mkdir(parents=True, exist_ok=True)
    (settings.prompts_dir / "animals").write_text("a cat\na dog\n")
    body = {"from-file": "animals", "preset": "fast", "skip_grid": True}
    assert client.post("/generate", json=body, headers=KEY).status_code == 202
    claim, request = worker.claim()
    stored = json.loads(claim.stored_request)
    assert stored["prompts"] == ["a cat <lora:lcm:0.9>", "a dog <lora:lcm:0.9>"]
    assert settled(request)[:3] == (4, 1, "lcm")


def test_a_preset_that_the_model_lacks_is_a_400_that_says_what_there_is(
    client: FlaskClient, worker: HandWorker
) -> None:
    for ckpt, words in (("tiny", "one of: fast"), ("plain", "[preset.quality] in plain.toml")):
        body = {"prompt": "a cat", "ckpt": ckpt, "preset": "quality"}
        answer: Any = client.post("/generate", json=body, headers=KEY)
        (detail,) = answer.json["details"]
        assert (answer.status_code, detail["code"]) == (400, "unknown_preset")
        assert words in detail["expected"]


def test_a_faulty_file_of_defaults_is_told(client: FlaskClient, worker: HandWorker) -> None:
    body = {"prompt": "a cat", "ckpt": "plain"}
    accepted: Any = client.post("/generate", json=body, headers=KEY).json
    assert accepted["Warnings"] == ["plain.toml: steps is too small"]
    told: Any = client.get("/models").json
    assert [model["defaults_problem"] for model in told["models"]] == [
        "",
        "plain.toml: steps is too small",
        "",
    ]


def test_models_and_capabilities_list_what_is_filled_in(
    client: FlaskClient, worker: HandWorker
) -> None:
    wanted = {"ddim_steps": 30, "scale": 5.5, "sampler": "k_dpmpp_2m", "scheduler": "karras"}
    fast = {"ddim_steps": 4, "scale": 1, "sampler": "lcm", "vae": "taesd", "loras": ["lcm:0.9"]}
    told: Any = client.get("/models").json
    of_tiny = next(model for model in told["models"] if model["name"] == "tiny")
    assert (of_tiny["defaults"], of_tiny["presets"]) == (wanted, {"fast": fast})
    assert told["lora_defaults"] == {"lcm": {"ddim_steps": 4, "scale": 1, "sampler": "lcm"}}
    capable: Any = client.get("/capabilities").json
    assert capable["model_defaults"] == {
        "tiny": {"defaults": wanted, "presets": {"fast": fast}},
        "large": {"defaults": {"W": 832, "H": 4000, "vae": "taesd"}, "presets": {}},
    }


OWN = (30, 5.5, "k_dpmpp_2m", "karras", None)
A1111, OPENAI = "/sdapi/v1/txt2img", "/v1/images/generations"


@pytest.mark.parametrize(
    ("path", "sent", "expected"),
    [
        (A1111, {}, OWN),
        (A1111, {"steps": 20, "cfg_scale": 7}, (20, 7, *OWN[2:])),
        (A1111, {"sampler_name": "Euler a"}, (30, 5.5, "k_euler_a", "automatic", None)),
        (A1111, {"prompt": "a <lora:lcm:1>", "steps": None}, (4, 1, "lcm", "automatic", None)),
        (A1111, {"preset": "fast"}, (4, 1, "lcm", "automatic", "taesd")),
        (A1111, {"preset": "quality"}, OWN),  # which the model lacks
        (
            A1111,
            {"preset": "fast", "override_settings": {"sd_vae": "None"}},
            (4, 1, "lcm", "automatic", None),
        ),
        (
            A1111,
            {"override_settings": {"preset": "fast"}, "steps": 9},
            (9, 1, "lcm", "automatic", "taesd"),
        ),
        (
            A1111,
            {"override_settings": {"sd_model_checkpoint": "plain"}},
            (50, 7, "k_euler", "automatic", None),
        ),
        (OPENAI, {}, OWN),
        (OPENAI, {"quality": "high", "guidance_scale": 7}, (40, 7, *OWN[2:])),
        (OPENAI, {"steps": 9, "sampler": "ddim"}, (9, 5.5, "ddim", "automatic", None)),
        (OPENAI, {"preset": "fast"}, (4, 1, "lcm", "automatic", "taesd")),
        (OPENAI, {"model": "plain"}, (20, 7.5, "ddim", "automatic", None)),
    ],
)
def test_the_model_precedes_the_defaults_of_a_dialect_and_not_what_the_client_sent(
    client: FlaskClient,
    worker: HandWorker,
    path: str,
    sent: dict[str, Any],
    expected: tuple[object, ...],
) -> None:
    seen: list[Any] = []

    def draw() -> None:
        claim, request = worker.claim()
        seen.append(request)
        worker.finish(claim, request)

    drawing = Thread(target=draw)
    drawing.start()
    headers = basic(DUMMY_KEY) if path == A1111 else {"Authorization": f"Bearer {DUMMY_KEY}"}
    answer: Any = client.post(path, json={"prompt": "a cat", **sent}, headers=headers)
    drawing.join()
    assert answer.status_code == 200, answer.text
    assert settled(seen[0]) == expected
    lacking = "preset: the model tiny has no preset 'quality'"
    assert (lacking in answer.json["warnings"]) == (sent.get("preset") == "quality")
    if path == A1111:
        for told in (json.loads(answer.json["info"]), answer.json["parameters"]):
            assert (told["steps"], told["cfg_scale"]) == expected[:2]


def test_a_second_pass_of_a1111_executes_the_steps_that_the_model_wants(
    client: FlaskClient, worker: HandWorker
) -> None:
    drawing = Thread(target=worker.draw)
    drawing.start()
    body = {"prompt": "a <lora:lcm:1>", "width": 128, "height": 128, "enable_hr": True}
    answer: Any = client.post(A1111, json=body, headers=basic(DUMMY_KEY))
    drawing.join()
    assert answer.status_code == 200, answer.text
    (job,) = client.get("/recent?facts=true", headers=KEY).json["Finished"]  # type: ignore[index]
    assert second_pass_steps(cast("TextToImage", read_stored("txt2img", job["request"]))) == 4


@pytest.mark.parametrize(
    ("path", "sent", "size"),
    [
        (A1111, {"override_settings": {"sd_model_checkpoint": "large"}}, (832, 1536)),
        (
            A1111,
            {"override_settings": {"sd_model_checkpoint": "large"}, "width": 1024},
            (1024, 1536),
        ),
        (A1111, {"override_settings": {"sd_model_checkpoint": "plain"}}, (512, 512)),
        (OPENAI, {"model": "large"}, (832, 1536)),
        (OPENAI, {"model": "large", "size": "1024x1024"}, (1024, 1024)),
        (OPENAI, {"model": "plain"}, (512, 512)),
    ],
)
def test_a_dialect_has_the_size_of_the_model_where_the_client_sends_none(
    client: FlaskClient,
    worker: HandWorker,
    path: str,
    sent: dict[str, Any],
    size: tuple[int, int],
) -> None:
    headers = basic(DUMMY_KEY) if path == A1111 else {"Authorization": f"Bearer {DUMMY_KEY}"}
    with DrawingWorker(worker) as drawing:
        answer: Any = client.post(path, json={"prompt": "a cat", **sent}, headers=headers)
    assert answer.status_code == 200, answer.text
    assert [(each.W, each.H) for each in drawing.drawn] == [size]
    if path == A1111:
        for told in (json.loads(answer.json["info"]), answer.json["parameters"]):
            assert (told["width"], told["height"]) == size


def test_the_refiners_that_are_compared_are_installed_ones(
    client: FlaskClient, worker: HandWorker
) -> None:
    values = [None, {"ckpt": "plain.safetensors"}, {"ckpt": "tiny [0123456789]", "switch_at": 0.5}]
    body = {"prompt": "a cat", "ckpt": "plain", "vary": {"refiner": values}}
    assert client.post("/generate", json=body, headers=KEY).status_code == 202
    _, request = worker.claim()
    assert [each.refiner for each in request.combinations()] == [
        None,
        {"ckpt": "plain", "switch_at": 0.8},
        {"ckpt": "tiny", "switch_at": 0.5},
    ]

    values.append({"ckpt": "lost"})
    answer: Any = client.post("/generate", json=body, headers=KEY)
    (detail,) = answer.json["details"]
    assert (detail["field"], detail["code"]) == ("vary.refiner[3]", "unknown_model")


def test_a_picture_of_the_models_own_autoencoder_is_made_again_with_it(
    client: FlaskClient, worker: HandWorker
) -> None:
    client.post("/generate", json={"prompt": "a cat", "ckpt": "large", "vae": None}, headers=KEY)
    claim, request = worker.claim()
    worker.finish(claim, request)
    text = infotext(request, seed=7, model="large", model_hash="")
    picture = base64.b64encode(encode(Image.new("RGB", (8, 8)), "png", text)).decode()

    read: Any = client.post("/png-info", json={"image": picture}, headers=KEY).json
    client.post("/generate", json=read["request"], headers=KEY)
    claim, again = worker.claim()
    worker.finish(claim, again)
    assert (request.vae, again.ckpt, again.vae) == (None, "large", None)

    with DrawingWorker(worker) as drawing:
        client.post(A1111, json={"infotext": text}, headers=basic(DUMMY_KEY))
    assert [(each.ckpt, each.vae) for each in drawing.drawn] == [("large", None)]
