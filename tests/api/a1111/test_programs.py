"""What programs call besides txt2img: webuiapi itself, and the call sequences of the others."""

import base64
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from typing import Any

import pytest
import requests
from flask import Flask
from PIL import Image
from webuiapi import WebUIApi
from werkzeug.serving import make_server

from api.auth import DUMMY_KEY
from jobs.pictures.output_formats import encode
from jobs.worker_facts import ModelFacts, WorkerFacts
from tests.api.conftest import HandWorker
from tests.processes import eventually

SIZE: dict[str, Any] = {"width": 256, "height": 256}


@pytest.fixture
def host(app: Flask, worker: HandWorker) -> Iterator[str]:
    """The address of a server with two models."""
    worker.workers.announce(
        WorkerFacts(
            worker_id="by-hand",
            types=("optimized",),
            models=("ink", "tiny"),
            default_model="tiny",
            device="cpu",
            slots=1,
            memory_bytes=1000,
            model_facts=(
                ModelFacts(name="ink", native_size=256, hash="6ce0161689"),
                ModelFacts(name="tiny", native_size=256, hash="0123456789"),
            ),
            loras=("oil",),
            embeddings=("shiny",),
            vaes=("mse",),
        ),
        ttl_seconds=600,
    )
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


@pytest.fixture
def web_ui(host: str) -> WebUIApi:
    return WebUIApi(baseurl=f"{host}/sdapi/v1", username="anybody", password=DUMMY_KEY)


class Program:
    """A program that sends a name and a password with everything."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._session = requests.Session()
        self._session.auth = ("anybody", DUMMY_KEY)

    def get(self, path: str) -> Any:
        return self.asked("GET", f"/sdapi/v1/{path}").json()

    def post(self, path: str, json: Any = None) -> Any:
        return self.asked("POST", f"/sdapi/v1/{path}", json=json).json()

    def asked(self, method: str, path: str, *, code: int = 200, **more: Any) -> requests.Response:
        answer = self._session.request(method, self._host + path, timeout=120, **more)
        assert answer.status_code == code, answer.text
        return answer


@pytest.fixture
def program(host: str) -> Program:
    return Program(host)


def drawn(worker: HandWorker) -> Thread:
    drawing = Thread(target=worker.draw)
    drawing.start()
    return drawing


def test_webuiapi_reads_every_list(web_ui: WebUIApi) -> None:
    assert not web_ui.has_controlnet
    assert web_ui.util_get_model_names() == ["ink [6ce0161689]", "tiny [0123456789]"]
    assert "Euler a" in web_ui.util_get_sampler_names()
    assert "automatic" in web_ui.util_get_scheduler_names()
    assert web_ui.get_sd_vae()[0]["model_name"] == "mse"
    assert web_ui.get_upscalers()[0]["name"] == "None"
    assert web_ui.get_loras()[0]["name"] == "oil"
    assert list(web_ui.get_embeddings()["loaded"]) == ["shiny"]
    assert web_ui.get_memory()["ram"]["used"] == 1000
    assert web_ui.get_scripts() == {"txt2img": [], "img2img": []}
    assert web_ui.get_cmd_flags() == {}
    assert web_ui.refresh_checkpoints() == {"warnings": []}
    for empty in (
        web_ui.get_hypernetworks,
        web_ui.get_face_restorers,
        web_ui.get_realesrgan_models,
        web_ui.get_prompt_styles,
    ):
        assert empty() == []
    assert "Latent" in [mode["name"] for mode in web_ui.get_latent_upscale_modes()]


def test_webuiapi_changes_the_model_and_waits(web_ui: WebUIApi) -> None:
    assert web_ui.util_get_current_model() == "tiny [0123456789]"

    web_ui.util_set_model("INK")
    web_ui.util_wait_for_ready(check_interval=0.1)

    assert web_ui.util_get_current_model() == "ink [6ce0161689]"
    assert web_ui.set_options({"CLIP_stop_at_last_layers": 2}) == {"warnings": []}
    assert web_ui.get_options()["CLIP_stop_at_last_layers"] == 2


def test_webuiapi_reads_what_a_picture_was_made_of(web_ui: WebUIApi) -> None:
    text = "a cat\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 8x8"
    picture = Image.open(io.BytesIO(encode(Image.new("RGB", (8, 8)), "png", text)))

    result = web_ui.png_info(picture)

    assert (result.info, result.parameters["Seed"]) == (text, "5")
    assert result.parameters["Prompt"] == "a cat"


@pytest.mark.parametrize("ending", ["interrupt", "skip"])
def test_webuiapi_polls_and_ends_what_it_draws(
    web_ui: WebUIApi, worker: HandWorker, ending: str
) -> None:
    with ThreadPoolExecutor() as pool:
        drawing = pool.submit(web_ui.txt2img, prompt="a cat", seed=5, steps=4, **SIZE)
        claim, _ = worker.claim()
        worker.report(claim, 2, 4)
        assert web_ui.get_progress()["progress"] == 0.5

        getattr(web_ui, ending)()

        assert web_ui.get_progress()["state"]["interrupted"]
        worker.claims.cancelled(claim)
        result: Any = drawing.result()
    assert (result.images, result.info["seed"]) == ([], 5)
    assert result.info["warnings"][-1] == "the job was interrupted: it has no pictures"
    web_ui.util_wait_for_ready(check_interval=0.1)


def test_sillytavern_connects_changes_the_model_and_draws(
    program: Program, worker: HandWorker
) -> None:
    assert "forge_preset" not in program.get("options")
    names = [row["name"] for row in program.get("upscalers")]
    names[1:1] = [row["name"] for row in program.get("latent-upscale-modes")]
    assert names[0] == "None"
    samplers = [row["name"] for row in program.get("samplers")]
    schedulers = [row["name"] for row in program.get("schedulers")]
    vaes = [row["model_name"] for row in program.get("sd-vae")]
    assert vaes == [row["model_name"] for row in program.get("sd-modules")]
    ink = program.get("sd-models")[0]["title"]

    program.post("options", {"sd_model_checkpoint": ink})
    progress = program.get("progress")
    assert (progress["progress"], progress["state"]["job_count"]) == (0.0, 0)
    assert program.get("options")["sd_model_checkpoint"] == ink

    drawing = drawn(worker)
    answer = program.post(
        "txt2img",
        {
            "prompt": "a cat",
            "negative_prompt": "dog",
            "sampler_name": samplers[0],
            "scheduler": schedulers[0],
            "steps": 4,
            "cfg_scale": 7,
            **SIZE,
            "seed": None,
            "restore_faces": False,
            "enable_hr": False,
            "hr_upscaler": names[1],
            "hr_scale": 2,
            "denoising_strength": 0.7,
            "hr_second_pass_steps": 0,
            "override_settings": {"CLIP_stop_at_last_layers": 1, "sd_vae": vaes[0]},
            "override_settings_restore_afterwards": True,
            "clip_skip": 1,
            "save_images": True,
            "send_images": True,
            "do_not_save_grid": False,
            "do_not_save_samples": False,
        },
    )
    drawing.join()
    assert Image.open(io.BytesIO(base64.b64decode(answer["images"][0]))).size == (256, 256)


def test_sillytavern_interrupts_when_it_goes_away(program: Program, worker: HandWorker) -> None:
    body = {"prompt": "a cat", **SIZE}
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(program.asked, "POST", "/sdapi/v1/txt2img", json=body)
        assert eventually(lambda: worker.queued() == 1)
        program.post("interrupt")
        waiting.result()
    assert worker.queued() == 0


def test_open_webui_sends_all_options_back_and_draws(program: Program, worker: HandWorker) -> None:
    options = program.get("options")
    model = program.get("sd-models")[0]
    assert model["model_name"] == "ink"
    options["sd_model_checkpoint"] = model["title"]
    assert program.post("options", options) == {"warnings": []}

    drawing = drawn(worker)
    body = {"prompt": "a cat", "batch_size": 2, **SIZE, "steps": 4, "negative_prompt": "dog"}
    answer = program.post("txt2img", body)
    drawing.join()
    assert len(answer["images"]) == 2
    assert isinstance(answer["info"], str)


def test_the_gimp_plugin_reads_its_choices_and_follows_a_picture(
    program: Program, worker: HandWorker
) -> None:
    title = program.get("options")["sd_model_checkpoint"]
    assert title.partition(" [")[0] == "tiny"
    assert title in [model["title"] for model in program.get("sd-models")]
    assert program.get("sd-modules")[0]["model_name"] == "mse"
    # it takes any error here for a server that is not running
    assert program.asked("GET", "/controlnet/model_list").json() == {"model_list": []}

    with ThreadPoolExecutor() as pool:
        drawing = pool.submit(program.post, "txt2img", {"prompt": "a cat", **SIZE})
        claim, request = worker.claim()
        worker.report(claim, 1, 4)
        progress = program.get("progress")
        assert (progress["progress"], progress["eta_relative"]) == (0.25, 1.5)
        assert progress["state"]["job_count"] == 1
        worker.finish(claim, request)
        assert len(drawing.result()["images"]) == 1


def test_the_android_app_reads_its_lists_and_sets_the_model(program: Program) -> None:
    paths = ("sd-models", "samplers", "loras", "hypernetworks")
    assert all(isinstance(program.get(path), list) for path in paths)
    assert "loaded" in program.get("embeddings")
    program.post("options", {"sd_model_checkpoint": "ink [6ce0161689]"})
    assert program.get("options")["sd_model_checkpoint"] == "ink [6ce0161689]"


def test_text_generation_webui_frees_the_memory_around_a_picture(
    program: Program, worker: HandWorker
) -> None:
    assert [model["title"] for model in program.get("sd-models")]
    assert program.get("options")["sd_model_checkpoint"]
    program.post("options", {"sd_model_checkpoint": "ink [6ce0161689]"})
    program.post("unload-checkpoint", "")  # a JSON string, no object
    program.post("reload-checkpoint", "")
    drawing = drawn(worker)
    answer = program.post("txt2img", {"prompt": "a cat", "restore_faces": True, **SIZE})
    drawing.join()
    assert len(answer["images"]) == 1
