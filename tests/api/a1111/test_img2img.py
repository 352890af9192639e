"""POST /sdapi/v1/img2img: pictures come in as base64 or data URLs."""

import json
from typing import Any

import pytest

from tests.api.a1111.conftest import Caller, encoded, opened

PICTURE = encoded((64, 96), "red")
SMALL: dict[str, Any] = {
    "prompt": "a cat",
    "width": 256,
    "height": 256,
    "steps": 3,
    "init_images": [PICTURE],
}


@pytest.mark.parametrize("picture", [PICTURE, f"data:image/png;base64,{PICTURE}"])
def test_a_picture_is_drawn_over(caller: Caller, picture: str) -> None:
    answer = caller.drawn("img2img", {**SMALL, "init_images": [picture]})

    assert [opened(image).size for image in answer["images"]] == [(256, 256)]
    assert json.loads(answer["info"])["denoising_strength"] == 0.75
    assert answer["warnings"] == []


def test_the_answer_repeats_the_pictures_only_when_asked(caller: Caller) -> None:
    without = caller.drawn("img2img", SMALL)["parameters"]
    included = caller.drawn("img2img", {**SMALL, "include_init_images": True})["parameters"]

    assert (without["init_images"], without["mask"]) == (None, None)
    assert included["init_images"] == [PICTURE]


def test_of_several_pictures_the_first_is_used_and_it_says_so(caller: Caller) -> None:
    answer = caller.drawn("img2img", {**SMALL, "init_images": [PICTURE, PICTURE]})

    assert answer["warnings"] == ["init_images: the first of 2 pictures was used"]


@pytest.mark.parametrize("pictures", [None, []])
def test_without_a_picture_it_is_a_404(caller: Caller, pictures: list[str] | None) -> None:
    answer = caller.post("img2img", {**SMALL, "init_images": pictures})

    assert (answer.status_code, answer.get_json()["detail"]) == (404, "Init image not found")


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        ({"init_images": ["not a picture"]}, ["body", "init_images", "0"]),
        ({"denoising_strength": 7}, ["body", "denoising_strength"]),
        ({"resize_mode": 9}, ["body", "resize_mode"]),
    ],
)
def test_a_wrong_value_is_a_422_that_names_the_field(
    caller: Caller, body: dict[str, Any], loc: list[str]
) -> None:
    answer = caller.post("img2img", {**SMALL, **body})

    assert answer.status_code == 422
    assert [each["loc"] for each in answer.get_json()["detail"]] == [loc]


def test_latent_upscaling_is_told(caller: Caller) -> None:
    answer = caller.drawn("img2img", {**SMALL, "resize_mode": 3})

    assert answer["warnings"][0].startswith("resize_mode: 3 was not followed")


@pytest.mark.parametrize(
    ("change", "warnings"),
    [
        ({}, []),
        ({"width": 1024}, ["width: the part is drawn at 512×128 pixels"]),
        ({"inpaint_full_res": False}, []),
        ({"inpaint_full_res": False, "inpaint_full_res_padding": 32}, []),
        (
            {"inpaint_full_res": False, "inpaint_full_res_padding": 16},
            ["inpaint_full_res_padding: 16 has an effect only with inpaint_full_res"],
        ),
    ],
)
def test_a_mask_warns_only_of_what_is_not_followed(
    caller: Caller, change: dict[str, Any], warnings: list[str]
) -> None:
    mask = encoded((64, 96), "white")

    assert caller.drawn("img2img", {**SMALL, "mask": mask, **change})["warnings"] == warnings
