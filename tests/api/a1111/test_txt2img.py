"""POST /sdapi/v1/txt2img: the answer, and every way in which there is none."""

import json
from threading import Thread
from typing import Any

import pytest

from api import create_app
from api.auth import DUMMY_KEY
from api.settings import ApiSettings
from tests.api.a1111.conftest import Caller, announce, opened
from tests.api.conftest import HandWorker

SMALL = {"prompt": "a cat", "width": 256, "height": 256, "steps": 3}
INFO = {
    "prompt", "all_prompts", "negative_prompt", "all_negative_prompts", "seed", "all_seeds",
    "subseed", "all_subseeds", "subseed_strength", "width", "height", "sampler_name", "cfg_scale",
    "steps", "batch_size", "restore_faces", "face_restoration_model", "sd_model_name",
    "sd_model_hash", "sd_vae_name", "sd_vae_hash", "seed_resize_from_w", "seed_resize_from_h",
    "denoising_strength", "extra_generation_params", "index_of_first_image", "infotexts", "styles",
    "job_timestamp", "clip_skip", "is_using_inpainting_conditioning", "version",
}  # fmt: skip


def test_the_answer_is_as_automatic1111_writes_it(caller: Caller) -> None:
    answer = caller.drawn("txt2img", {**SMALL, "negative_prompt": "dog", "seed": 7, "n_iter": 2})

    assert not answer["images"][0].startswith("data:")
    assert [opened(image).size for image in answer["images"]] == [(256, 256)] * 2
    assert answer["parameters"] | SMALL == answer["parameters"]
    assert answer["parameters"]["cfg_scale"] == 7.0
    assert answer["warnings"] == []
    info: dict[str, Any] = json.loads(answer["info"])
    assert info.keys() >= INFO
    assert (info["seed"], info["all_seeds"]) == (7, [7, 8])
    assert info["all_prompts"] == ["a cat"] * 2
    assert info["all_negative_prompts"] == ["dog"] * 2
    assert (info["width"], info["height"], info["steps"]) == (256, 256, 3)
    assert (info["sd_model_name"], info["sd_model_hash"]) == ("tiny", "0123456789")
    assert (info["sampler_name"], info["clip_skip"]) == ("Euler", 1)
    assert len(info["infotexts"]) == 2
    assert info["warnings"] == []


def test_a_grid_comes_first_where_there_is_one(caller: Caller) -> None:
    answer = caller.drawn("txt2img", {**SMALL, "batch_size": 2, "save_images": True})

    assert [opened(image).size for image in answer["images"]] == [(512, 256)] + [(256, 256)] * 2
    info = json.loads(answer["info"])
    assert info["index_of_first_image"] == 1
    assert (len(info["infotexts"]), len(info["all_seeds"])) == (3, 2)


@pytest.mark.parametrize(
    ("fields", "count"), [({}, 2), ({"save_images": True, "do_not_save_grid": True}, 2)]
)
def test_there_is_no_grid_unless_pictures_are_saved(
    caller: Caller, fields: dict[str, Any], count: int
) -> None:
    answer = caller.drawn("txt2img", {**SMALL, "batch_size": 2, **fields})

    assert len(answer["images"]) == count


@pytest.mark.parametrize("no", [False, 0])
def test_pictures_can_be_left_out(caller: Caller, no: object) -> None:
    answer = caller.drawn("txt2img", {**SMALL, "send_images": no})

    assert answer["images"] == []
    assert json.loads(answer["info"])["all_seeds"]


def test_a_random_seed_is_told(caller: Caller) -> None:
    seeds = [json.loads(caller.drawn("txt2img", SMALL)["info"])["seed"] for _ in range(2)]

    assert seeds[0] != seeds[1]
    assert min(seeds) >= 0


def test_the_pair_of_sampler_and_scheduler_is_told_as_newer_versions_do(caller: Caller) -> None:
    answer = caller.drawn("txt2img", {**SMALL, "sampler_name": "DPM++ 2M Karras"})

    info = json.loads(answer["info"])
    assert info["sampler_name"] == "DPM++ 2M"
    assert info["extra_generation_params"]["Schedule type"] == "Karras"


def test_a_task_id_that_is_sent_again_returns_the_same_pictures(caller: Caller) -> None:
    body = {**SMALL, "force_task_id": "task(abc)"}
    first = caller.drawn("txt2img", body)

    again = caller.post("txt2img", body).get_json()

    assert again["images"] == first["images"]
    assert caller.post("txt2img", {**body, "steps": 4}).status_code == 409


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"steps": "many"}, "steps"),
        ({"steps": 0}, "steps"),
        ({"cfg_scale": 1000}, "cfg_scale"),
        ({"batch_size": 1000}, "batch_size"),
        ({"width": -1}, "width"),
        ({"height": 4097}, "height"),
        ({"width": 63}, "width"),
        ({"steps": "5"}, "steps"),
        ({"cfg_scale": True}, "cfg_scale"),
        ({"send_images": 2}, "send_images"),
        ({"send_images": "no"}, "send_images"),
        ({"height": 10**400}, "height"),
        ({"styles": "one"}, "styles"),
        ({"override_settings": {"CLIP_stop_at_last_layers": 99}}, "override_settings"),
    ],
)
def test_a_wrong_value_is_a_422_that_names_the_field(
    caller: Caller, body: dict[str, Any], field: str
) -> None:
    answer = caller.post("txt2img", {**SMALL, **body})

    assert answer.status_code == 422
    assert answer.get_json()["detail"][0]["loc"][:2] == ["body", field]


def test_an_unknown_sampler_is_a_404(caller: Caller) -> None:
    answer = caller.post("txt2img", {**SMALL, "sampler_name": "Eulr"})

    assert (answer.status_code, answer.get_json()["detail"]) == (404, "Sampler not found")


def test_without_a_key_there_is_a_401_that_says_how(caller: Caller) -> None:
    for key in ("", "wrong"):
        answer = caller.post("txt2img", SMALL, key=key)

        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Basic")
        assert isinstance(answer.get_json()["detail"], str)


def test_a_key_is_read_from_basic_and_bearer(caller: Caller) -> None:
    for scheme in ({"Authorization": f"Bearer {DUMMY_KEY}"}, {"X-API-Key": DUMMY_KEY}):
        answer = caller.client.post("/sdapi/v1/txt2img", json={"steps": 0}, headers=scheme)

        assert answer.status_code == 422


@pytest.mark.parametrize(("code", "status"), [("out_of_memory", 500), ("unknown_embedding", 422)])
def test_a_job_that_fails_is_an_error_with_its_reason(
    caller: Caller, worker: HandWorker, code: str, status: int
) -> None:
    failing = Thread(target=worker.fail, args=("what went wrong", code))
    failing.start()
    answer = caller.post("txt2img", SMALL)
    failing.join()

    assert (answer.status_code, answer.get_json()["detail"]) == (status, "what went wrong")


@pytest.fixture
def impatient(settings: ApiSettings) -> ApiSettings:
    return settings.model_copy(update={"sync_timeout": 0.05})


@pytest.mark.parametrize(("task", "jobs"), [({}, 0), ({"force_task_id": "mine"}, 1)])
def test_a_wait_that_is_too_long_ends_a_job_that_nobody_can_ask_for_again(
    impatient: ApiSettings, worker: HandWorker, task: dict[str, str], jobs: int
) -> None:
    with create_app(impatient).test_client() as client:
        answer = Caller(client, worker).post("txt2img", {**SMALL, **task})

    assert answer.status_code == 504
    assert ("force_task_id" in answer.get_json()["detail"]) == bool(task)
    assert worker.queued() == jobs


def test_unknown_and_extension_fields_are_told_and_never_refused(caller: Caller) -> None:
    scripts = {
        "ControlNet": {"args": [{"module": "canny"}]},
        "ADetailer": {"args": [False]},
        "Regions": {"args": [{"enabled": False}, {"enabled": False}]},
    }

    answer = caller.drawn("txt2img", {**SMALL, "prompts": 3, "alwayson_scripts": scripts})

    assert [warning.split(":")[0] for warning in answer["warnings"]] == [
        "prompts",
        "alwayson_scripts.ControlNet",
    ]


def test_of_very_many_unknown_fields_the_first_are_told(caller: Caller) -> None:
    answer = caller.drawn("txt2img", {**SMALL, **{f"unknown{n}": n for n in range(1000)}})

    assert len(answer["warnings"]) == 50
    assert answer["warnings"][-1] == "951 more fields were not followed"


def test_a_model_that_is_not_installed_is_told(caller: Caller) -> None:
    settings = {"sd_model_checkpoint": "another.safetensors [0123456789]"}

    answer = caller.drawn("txt2img", {**SMALL, "override_settings": settings})

    assert "'another.safetensors [0123456789]' is not installed" in answer["warnings"][0]
    assert json.loads(answer["info"])["sd_model_name"] == "tiny"


@pytest.mark.parametrize("name", ["tiny [0123456789]", "0123456789", "TINY"])
def test_a_refiner_is_found_by_any_name_of_its_checkpoint(
    impatient: ApiSettings, worker: HandWorker, name: str
) -> None:
    announce(worker)
    body = {**SMALL, "refiner_checkpoint": name, "refiner_switch_at": 0.6, "force_task_id": "kept"}
    with create_app(impatient).test_client() as client:
        Caller(client, worker).post("txt2img", body)

    _, request = worker.claim()
    assert request.refiner == {"ckpt": "tiny", "switch_at": 0.6}


def test_settings_are_for_the_request_unless_they_are_to_stay(caller: Caller) -> None:
    settings = {"samples_format": "webp"}

    def picture_format(**fields: Any) -> str | None:
        answer = caller.drawn("txt2img", {**SMALL, **fields})
        return opened(answer["images"][0]).format

    assert picture_format(override_settings=settings) == "WEBP"
    assert picture_format() == "PNG"
    stay = {"override_settings": settings, "override_settings_restore_afterwards": False}
    assert picture_format(**stay) == "WEBP"
    assert picture_format() == "WEBP"
    other = caller.drawn("txt2img", SMALL, key="ключ")
    assert opened(other["images"][0]).format == "PNG"


@pytest.mark.parametrize(("picture_format", "quality"), [("jpg", 40), ("webp", 40), ("png", 95)])
def test_the_quality_of_lossy_formats_is_an_option(
    impatient: ApiSettings, worker: HandWorker, picture_format: str, quality: int
) -> None:
    settings = {"samples_format": picture_format, "jpeg_quality": 40}
    with create_app(impatient).test_client() as client:
        Caller(client, worker).post(
            "txt2img", {**SMALL, "override_settings": settings, "force_task_id": "kept"}
        )

    _, request = worker.claim()
    assert (request.format, request.jpeg_quality) == (picture_format, quality)


def test_a_task_id_of_another_request_is_named(caller: Caller) -> None:
    body = {**SMALL, "force_task_id": "task(abc)"}
    caller.drawn("txt2img", body)

    answer = caller.post("txt2img", {**body, "prompt": "another"})

    assert answer.status_code == 409
    assert "force_task_id" in answer.get_json()["detail"]
