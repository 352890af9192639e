"""The programs that speak this dialect, against the whole service with the shipped model.

`webuiapi` is used as it is; the requests of the others are those that their sources send.
"""

import base64
import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import webuiapi
from PIL import Image

from api.auth import DUMMY_KEY
from api.dialects.a1111.generation import INSTALLED_UPSCALER
from tests.api.a1111.conftest import basic, encoded, opened
from tests.processes import eventually

pytestmark = pytest.mark.service

KEY = {"X-API-Key": DUMMY_KEY}
PICTURE = encoded((64, 64), "red")
MASK = encoded((64, 64), "white")


@pytest.fixture(scope="module")
def client(service: str) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=f"{service}/sdapi/v1", timeout=240, headers=basic(DUMMY_KEY), trust_env=False
    ) as client:
        yield client


def posted(client: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


# webuiapi


def test_webuiapi_draws_and_its_defaults_never_warn(webui: Any) -> None:
    result = webui.txt2img(prompt="a red cat", seed=7, width=256, height=256)

    assert result.image.size == (256, 256)
    assert result.info["seed"] == 7
    assert result.info["sampler_name"] == "Euler a"
    assert result.info["warnings"] == result.json["warnings"] == []
    assert result.info["infotexts"] == [result.image.info["parameters"]]
    assert result.parameters["prompt"] == "a red cat"


def test_webuiapi_draws_over_a_picture(webui: Any) -> None:
    picture = Image.new("RGB", (256, 256), "red")

    result = webui.img2img(images=[picture], prompt="a cat", width=256, height=256)

    assert result.image.size == (256, 256)
    assert result.info["denoising_strength"] == 0.75
    assert result.info["warnings"] == []


def test_webuiapi_is_told_of_what_was_not_followed(webui: Any) -> None:
    unit = webuiapi.ControlNetUnit(module="canny")

    result = webui.txt2img(
        prompt="a cat", styles=["oil"], width=256, height=256, controlnet_units=[unit]
    )

    named = {warning.split(":")[0] for warning in result.info["warnings"]}
    assert named == {"styles", "alwayson_scripts.ControlNet"}


def test_webuiapi_draws_a_picture_in_two_passes(webui: Any) -> None:
    result = webui.txt2img(
        prompt="a cat",
        steps=2,
        width=128,
        height=192,
        enable_hr=True,
        hr_scale=1.5,
        hr_second_pass_steps=3,
        hr_upscaler=webuiapi.HiResUpscaler.LatentNearest,
    )

    assert result.image.size == (192, 288)
    assert "Hires steps: 3, Hires upscaler: Latent (nearest)" in result.image.info["parameters"]


def test_webuiapi_makes_pictures_larger(webui: Any) -> None:
    picture = Image.new("RGB", (20, 30))

    single = webui.extra_single_image(picture, upscaler_1=webuiapi.Upscaler.Lanczos)
    batch = webui.extra_batch_images([picture, picture], upscaler_1="Nearest", upscaling_resize=3)

    assert single.image.size == (40, 60)
    assert [image.size for image in batch.images] == [(60, 90)] * 2


def test_webuiapi_makes_a_picture_larger_by_the_network(webui: Any) -> None:
    picture = Image.new("RGB", (64, 96), "red")

    own = webui.extra_single_image(picture, upscaler_1=INSTALLED_UPSCALER)
    other = webui.extra_single_image(
        picture,
        upscaler_1=webuiapi.Upscaler.ESRGAN_4x,
        resize_mode=1,
        upscaling_resize_w=128,
        upscaling_resize_h=128,
    )

    assert (own.image.size, own.json["warnings"]) == ((128, 192), [])
    assert other.image.size == (128, 128)
    assert other.json["warnings"][0].startswith("upscaler_1: 'R-ESRGAN 4x+' is not installed")


# AUTOMATIC1111's own tests of its API

TEXT: dict[str, Any] = {
    "prompt": "example prompt",
    "negative_prompt": "",
    "styles": [],
    "seed": -1,
    "subseed": -1,
    "subseed_strength": 0,
    "seed_resize_from_h": -1,
    "seed_resize_from_w": -1,
    "sampler_index": "Euler a",
    "batch_size": 1,
    "n_iter": 1,
    "steps": 3,
    "cfg_scale": 7,
    "width": 64,
    "height": 64,
    "eta": 0,
    "s_churn": 0,
    "s_tmin": 0,
    "s_tmax": 0,
    "s_noise": 1,
    "restore_faces": False,
    "tiling": False,
}
HIRES = {"enable_hr": False, "denoising_strength": 0, "firstphase_width": 0, "firstphase_height": 0}
MASKS = {
    "denoising_strength": 0.75,
    "include_init_images": False,
    "init_images": [PICTURE],
    "inpaint_full_res": False,
    "inpaint_full_res_padding": 0,
    "inpainting_fill": 0,
    "inpainting_mask_invert": False,
    "mask": None,
    "mask_blur": 4,
    "override_settings": {},
    "resize_mode": 0,
}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"negative_prompt": "example negative prompt"},
        {"prompt": "((emphasis)), (emphasis1:1.1), [to:1], [from::2], [from:to:0.3], [alt|alt1]"},
        {"height": 128},
        {"enable_hr": True},
        {"tiling": True},
        {"restore_faces": True},
        {"sampler_index": "PLMS"},
        {"sampler_index": "DDIM"},
        {"sampler_index": "UniPC"},
        {"n_iter": 2},
        {"batch_size": 2},
    ],
    ids=json.dumps,
)
def test_the_requests_of_its_text_to_image_tests(
    client: httpx.Client, change: dict[str, Any]
) -> None:
    body = TEXT | HIRES | change

    answer = posted(client, "txt2img", body)

    count = body["n_iter"] * body["batch_size"]
    sizes = [opened(image).size for image in answer["images"]]
    factor = 2 if body["enable_hr"] else 1
    assert sizes == [(factor * body["width"], factor * body["height"])] * count


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"mask": MASK},
        {"mask": MASK, "inpainting_mask_invert": True},
        {"script_name": "sd upscale", "script_args": ["", 8, "Lanczos", 2.0]},
    ],
    ids=["simple", "mask", "inverted mask", "script"],
)
def test_the_requests_of_its_image_to_image_tests(
    client: httpx.Client, change: dict[str, Any]
) -> None:
    answer = posted(client, "img2img", TEXT | MASKS | change)

    assert [opened(image).size for image in answer["images"]] == [(64, 64)]


@pytest.mark.parametrize(
    "body",
    [
        {
            "resize_mode": 0,
            "show_extras_results": True,
            "gfpgan_visibility": 0,
            "codeformer_visibility": 0,
            "codeformer_weight": 0,
            "upscaling_resize": 2,
            "upscaling_resize_w": 128,
            "upscaling_resize_h": 128,
            "upscaling_crop": True,
            "upscaler_1": "Lanczos",
            "upscaler_2": "None",
            "extras_upscaler_2_visibility": 0,
            "image": PICTURE,
        },
        {"image": PICTURE},
        {"image": PICTURE, "model": "clip"},
    ],
    ids=["upscale", "image only", "model"],
)
def test_the_requests_of_its_extras_tests(client: httpx.Client, body: dict[str, Any]) -> None:
    answer = posted(client, "extra-single-image", body)

    side = 64 * (2 if "upscaler_1" in body else 1)
    assert opened(answer["image"]).size == (side, side)


# other programs


def test_librechat_gets_the_size_that_it_asks_for(client: httpx.Client) -> None:
    body = {
        "prompt": "a red cat",
        "negative_prompt": "dog",
        "cfg_scale": 4.5,
        "steps": 2,
        "width": 1024,
        "height": 1024,
    }

    answer = posted(client, "txt2img", body)

    assert opened(answer["images"][0]).size == (1024, 1024)
    info = json.loads(answer["info"])
    assert info["infotexts"][0].startswith("a red cat\nNegative prompt: dog\nSteps: 2")
    assert isinstance(info["seed"], int)
    assert (info["width"], info["height"]) == (1024, 1024)
    assert any("1024×1024" in warning for warning in answer["warnings"])


def test_silly_tavern_draws_with_its_own_settings(client: httpx.Client) -> None:
    body = {
        "prompt": "a red cat",
        "negative_prompt": "dog",
        "sampler_name": "DPM++ 2M Karras",
        "scheduler": "Karras",
        "steps": 2,
        "cfg_scale": 7,
        "width": 256,
        "height": 256,
        "restore_faces": False,
        "enable_hr": False,
        "hr_upscaler": "Latent",
        "hr_scale": 2,
        "denoising_strength": 0.7,
        "hr_second_pass_steps": 0,
        "seed": 5,
        "override_settings": {"CLIP_stop_at_last_layers": 1, "sd_vae": "Automatic"},
        "override_settings_restore_afterwards": True,
        "clip_skip": 1,
        "save_images": True,
        "send_images": True,
        "do_not_save_grid": False,
        "do_not_save_samples": False,
    }

    answer = posted(client, "txt2img", body)

    assert len(answer["images"]) == 1
    assert json.loads(answer["info"])["sampler_name"] == "DPM++ 2M"
    assert answer["warnings"] == []


def test_open_webui_draws_several(client: httpx.Client) -> None:
    body = {
        "prompt": "a red cat",
        "batch_size": 2,
        "width": 256,
        "height": 256,
        "steps": 2,
        "negative_prompt": "dog",
    }

    answer = posted(client, "txt2img", body)

    assert len(answer["images"]) == 2
    assert json.loads(answer["info"])["all_prompts"] == ["a red cat"] * 2


def test_the_blender_add_on_draws_over_a_data_url(client: httpx.Client) -> None:
    body = {
        "prompt": "a red cat",
        "negative_prompt": "",
        "init_images": [f"data:image/png;base64,{PICTURE}"],
        "denoising_strength": 0.6,
        "width": 256,
        "height": 256,
        "seed": 3,
        "cfg_scale": 7,
        "steps": 2,
        "sampler_index": "DPM++ 2M Karras",
    }

    assert len(posted(client, "img2img", body)["images"]) == 1
    unknown = client.post("img2img", json=body | {"sampler_index": "DPM Solver"})
    assert (unknown.status_code, unknown.json()["detail"]) == (404, "Sampler not found")


def test_the_gimp_plug_in_repaints_a_part(client: httpx.Client) -> None:
    body = {
        "prompt": "a red cat",
        "negative_prompt": "",
        "steps": 2,
        "sampler_index": "Euler a",
        "batch_size": 1,
        "cfg_scale": 7.5,
        "seed": -1,
        "width": 256,
        "height": 256,
        "denoising_strength": 0.8,
        "init_images": [PICTURE],
        "resize_mode": 0,
        "mask": MASK,
        "mask_blur": 4,
        "inpainting_fill": 1,
        "inpaint_full_res": True,
        "inpaint_full_res_padding": 10,
        "inpainting_mask_invert": 0,
    }

    answer = posted(client, "img2img", body)

    # as AUTOMATIC1111 does with inpaint_full_res: the size of the picture
    assert [opened(image).size for image in answer["images"]] == [opened(PICTURE).size]


# a client that goes away


def test_a_client_that_goes_away_takes_its_job_with_it(service: str) -> None:
    body = json.dumps({"prompt": "left alone", "steps": 500, "n_iter": 4})
    address = urlsplit(service)
    head = (
        "POST /sdapi/v1/txt2img HTTP/1.1\r\n"
        f"Host: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        f"Authorization: Basic {base64.b64encode(f'a:{DUMMY_KEY}'.encode()).decode()}\r\n\r\n"
    )

    def told(path: str) -> dict[str, Any]:
        return httpx.get(f"{service}{path}", headers=KEY, timeout=60, trust_env=False).json()

    def waited_for() -> list[dict[str, Any]]:
        under_way = told("/recent?facts=true")["Under_way"]
        return [job for job in under_way if job["request"]["prompt"] == "left alone"]

    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall((head + body).encode())
        assert eventually(lambda: any(job["State"] == "PROGRESS" for job in waited_for()))
        job_id = waited_for()[0]["task_id"]

    assert eventually(lambda: told(f"/status/{job_id}")["State"] == "CANCELLED")
