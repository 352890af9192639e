import tomllib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from jobs import __version__
from jobs.names import GenerationKind
from jobs.validation.request import parse_request
from tests.worker.conftest import png
from worker.execution.infotext import infotext


def text(kind: GenerationKind = "txt2img", **body: Any) -> str:
    request = parse_request(kind, {"prompt": "a cat", **body})
    return infotext(request, seed=9, model="tiny", model_hash="0123456789")


def test_the_settings_have_automatic1111s_order() -> None:
    assert text(negative_prompt="a dog", sampler="k_dpmpp_2m_ka", H=256, W=512) == (
        "a cat\nNegative prompt: a dog\n"
        "Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.5, Seed: 9, "
        "Size: 512x256, Model hash: 0123456789, Model: tiny, RNG: CPU, "
        f"Version: stable-diffusion-service {__version__}"
    )


def test_without_a_negative_prompt_its_line_is_left_out() -> None:
    assert len(text().splitlines()) == 2


def test_image_to_image_includes_its_strength() -> None:
    init = png(Image.new("RGB", (8, 8)))
    assert ", Denoising strength: 0.3, " in text("img2img", init_img=init, denoising_strength=0.3)


def test_a_second_pass_is_written_under_automatic1111s_names() -> None:
    assert (
        "Denoising strength: 0.7, Hires upscale: 1.5, Hires steps: 7, "
        "Hires upscaler: Latent (nearest-exact), Hires sampler: Heun, "
        'Hires schedule type: Karras, Hires prompt: "a, b", Hires negative prompt: c, '
    ) in text(
        hires_scale=1.5,
        hires_steps=10,
        hires_upscaler="latent_nearest_exact",
        hires_sampler="k_heun",
        hires_scheduler="karras",
        hires_prompt="a, b",
        hires_negative_prompt="c",
    )
    assert "Hires resize: 768x512, " in text(H=256, W=384, hires_width=768)


def test_values_with_commas_and_colons_are_quoted() -> None:
    request = parse_request("txt2img", {"prompt": "a"})
    line = infotext(request, seed=1, model='my, "own": model', model_hash="")
    assert r', Model: "my, \"own\": model", ' in line
    assert "Model hash" not in line


def test_the_version_is_the_projects() -> None:
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    assert project["version"] == __version__


def test_the_upscaler_is_named_as_automatic1111_does() -> None:
    request = parse_request(
        "img2img",
        {
            "prompt": "a",
            "init_img": png(Image.new("RGB", (8, 8))),
            "upscale": True,
            "post_upscale": True,
        },
    )
    line = infotext(request, seed=1, model="tiny", model_hash="", upscaler="RealESRGAN_x4plus")
    assert "Init image upscaler: RealESRGAN_x4plus" in line
    assert "Postprocess upscale by: 2, Postprocess upscaler: RealESRGAN_x4plus" in line
    assert "Size: 512x512" in line


def test_without_upscaling_no_upscaler_is_named() -> None:
    init = png(Image.new("RGB", (8, 8)))
    assert "pscale" not in text("img2img", init_img=init)


def test_masks_are_described_as_automatic1111_does() -> None:
    body = {"init_img": png(Image.new("RGB", (8, 8))), "mask": png(Image.new("L", (8, 8)))}
    plain = text("img2img", **body)
    assert "Denoising strength: 0.5, Mask blur: 0, RNG" in plain
    assert "Image CFG scale" not in plain
    full = text(
        "img2img",
        **body,
        mask_blur=4,
        mask_invert=True,
        mask_area="masked",
        mask_fill="noise",
        image_scale=2,
        W=256,
        extend={"left": 64, "top": 0},
    )
    assert ", CFG scale: 7.5, Image CFG scale: 2, Seed: 9, Size: 256x512, " in full
    assert (
        ", Mask blur: 4, Mask mode: Inpaint not masked, Inpaint area: Only masked, "
        "Masked area padding: 32, Masked content: latent noise, Extend left: 64, RNG"
    ) in full
    resized = text("img2img", **body, W=64, extend={"left": 64}, seed_resize_from_h=32)
    assert ", Seed resize from: 128x32, " in resized


@pytest.mark.parametrize(
    ("body", "written"),
    [
        ({"scheduler": "sgm_uniform", "sampler": "k_euler"}, "Schedule type: SGM Uniform"),
        ({"scheduler": "exponential", "sampler": "k_dpmpp_2m_ka"}, "Schedule type: Exponential"),
        (
            {"variation_seed": 7, "variation_strength": 0.25},
            "Variation seed: 7, Variation seed strength: 0.25",
        ),
        ({"seed_resize_from_h": 256, "seed_resize_from_w": 128}, "Seed resize from: 128x256"),
        ({"eta": 0.5, "sampler": "k_euler_a"}, "Eta: 0.5"),
        ({"ddim_eta": 0.5, "sampler": "ddim"}, "Eta DDIM: 0.5"),
        (
            {"sampler": "k_euler", "s_churn": 4, "s_tmin": 0.1, "s_tmax": 9, "s_noise": 1.1},
            "Sigma churn: 4, Sigma tmin: 0.1, Sigma tmax: 9, Sigma noise: 1.1",
        ),
        ({"tiling": True}, "Tiling: True"),
        ({"guidance_rescale": 0.7}, "CFG Rescale φ: 0.7"),
        ({"cache": {"interval": 3}}, "Cache interval: 3"),
        ({"guidance_start": 0.1, "guidance_end": 0.8}, "Guidance start: 0.1, Guidance end: 0.8"),
    ],
)
def test_the_sampling_is_written_under_automatic1111s_names(
    body: dict[str, Any], written: str
) -> None:
    assert written in text(**body)
    assert written not in text(sampler=body.get("sampler", "ddim"))


def test_what_a_sampler_does_not_take_is_not_written() -> None:
    assert text(sampler="k_lms", eta=0.5, s_churn=3, s_noise=2) == text(sampler="k_lms")
    assert text(sampler="lcm", cache={"interval": 3}) == text(sampler="lcm")


def test_a_clip_skip_is_named_only_if_it_skips() -> None:
    assert "Clip skip" not in text(clip_skip=1)
    assert ", Clip skip: 2, RNG: CPU, " in text(clip_skip=2)


def test_the_grammar_is_named_where_it_is_not_the_services_own() -> None:
    assert "Prompt grammar" not in text()
    assert ", Prompt grammar: a1111, RNG: CPU, " in text(prompt_grammar="a1111")
