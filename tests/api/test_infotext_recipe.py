"""What is written into a picture is read back as the same request."""

import base64
import io
from functools import cache
from typing import Any

import pytest
from PIL import Image

from api.recipes.draft import Recipe
from api.recipes.infotext_fields import MAX_SETTINGS
from api.recipes.infotext_recipe import infotext_recipe
from jobs.names import GenerationKind
from jobs.parameters.picture_fields import SAME_PICTURE
from jobs.parameters.schemas import SCHEMAS
from jobs.served import Served
from jobs.validation.request import parse_request
from jobs.worker_facts import ModelFacts
from worker.execution.infotext import infotext

SERVED = Served(
    types=("optimized",),
    models=("tiny", "photos/real", "sd15"),
    alive=True,
    vaes=("vae-ft-mse",),
    model_facts=(
        ModelFacts(name="tiny", kind="sd1", native_size=256, bytes=1, hash="0123456789"),
        ModelFacts(name="sd15", kind="sd1", native_size=512, bytes=1, hash="6ce0161689"),
    ),
)
PICTURE = io.BytesIO()
Image.new("L", (64, 64)).save(PICTURE, "PNG")
ENCODED = base64.b64encode(PICTURE.getvalue()).decode()

WRITTEN: dict[str, dict[str, Any]] = {
    "prompt": {"prompt": "a cat, (big:1.2)\n<lora:style:0.5> \\(x\\), Steps: many"},
    "negative_prompt": {"negative_prompt": "dog: small,\nred"},
    "ddim_steps": {"ddim_steps": 7},
    "ddim_eta": {"ddim_eta": 0.123456789, "sampler": "ddim"},
    "H": {"H": 128},
    "W": {"W": 256},
    "scale": {"scale": 1.23456789},
    "ckpt": {"ckpt": "photos/real"},
    "vae": {"vae": "vae-ft-mse"},
    "seed": {"seed": 2**53 - 1},
    "sampler": {"sampler": "k_heun"},
    "output_width": {"output_width": 300, "output_height": 200},
    "output_height": {"output_width": 300, "output_height": 201},
    "scheduler": {"scheduler": "beta", "sampler": "k_euler"},
    "eta": {"eta": 0.3, "sampler": "k_euler_a"},
    "s_churn": {"s_churn": 3.5, "sampler": "k_euler"},
    "s_tmin": {"s_churn": 3.5, "s_tmin": 0.05, "sampler": "k_euler"},
    "s_tmax": {"s_churn": 3.5, "s_tmax": 20.0, "sampler": "k_euler"},
    "s_noise": {"s_noise": 1.003, "sampler": "k_euler"},
    "variation_seed": {"variation_seed": 7, "variation_strength": 0.1},
    "variation_strength": {"variation_seed": 7, "variation_strength": 0.3},
    "seed_resize_from_h": {"seed_resize_from_h": 256, "seed_resize_from_w": 128},
    "seed_resize_from_w": {"seed_resize_from_h": 256, "seed_resize_from_w": 64},
    "cache": {"cache": {"interval": 4}},
    "refiner": {"refiner": {"ckpt": "sd15", "switch_at": 0.7}},
    "denoising_strength": {"denoising_strength": 0.3},
    "mask_invert": {"mask_invert": True, "mask": ENCODED},
    "mask_blur": {"mask_blur": 4.5, "mask": ENCODED},
    "mask_fill": {"mask_fill": "latent_nothing", "mask": ENCODED},
    "mask_area": {"mask_area": "masked", "mask": ENCODED},
    "mask_padding": {"mask_area": "masked", "mask_padding": 8, "mask": ENCODED},
    "extend": {"extend": {"left": 64, "bottom": 8}, "W": 256, "H": 256},
    "hires_scale": {"hires_scale": 1.5},
    "hires_width": {"hires_width": 576, "hires_height": 640},
    "hires_height": {"hires_width": 576, "hires_height": 576},
    "hires_steps": {"hires_scale": 1.5, "hires_steps": 10},
    "hires_strength": {"hires_scale": 1.5, "hires_strength": 0.4},
    "hires_upscaler": {"hires_scale": 1.5, "hires_upscaler": "latent_nearest_exact"},
    "hires_prompt": {"hires_scale": 1.5, "hires_prompt": "a cat, close"},
    "hires_negative_prompt": {"hires_scale": 1.5, "hires_negative_prompt": '"12"'},
    "hires_sampler": {"hires_scale": 1.5, "hires_sampler": "k_heun"},
    "hires_scheduler": {"hires_scale": 1.5, "hires_scheduler": "beta"},
}
"""Values of fields that are read back, with what they need to have an effect."""
NOT_WRITTEN = {
    "init_img": "the picture itself",
    "mask": "the picture itself",
    "mask_from_alpha": "in the init image",
    "fixed_code": "of several pictures",
    "wildcards": "the prompt itself is written",
    "vary": "of several pictures",
    "config": "follows from the model",
    "preset": "what it chose is written",
    "precision": "how it is run",
    "format": "the picture itself",
    "jpeg_quality": "the picture itself",
}
"""The fields that change a picture and that it does not carry, each with the reason."""
KINDS: tuple[GenerationKind, ...] = ("txt2img", "img2img")


def recipe(text: str) -> Recipe:
    return infotext_recipe(text, SERVED)


@cache
def fields(kind: GenerationKind) -> dict[str, Any]:
    """The JSON schema of each field that a picture carries."""
    properties = SCHEMAS[kind]["standard"].model_json_schema()["properties"]
    left_out = SAME_PICTURE | NOT_WRITTEN.keys()
    return {name: schema for name, schema in properties.items() if name not in left_out}


def other_value(schema: dict[str, Any]) -> Any:
    """A value that is not the default."""
    match schema:
        case {"anyOf": [described, *_]}:
            return other_value({**described, "default": schema["default"]})
        case {"type": "boolean", "default": default}:
            return not default
        case {"enum": choices, "default": default}:
            return next(choice for choice in choices if choice != default)
        case {"type": type_, "minimum": low, "maximum": high}:
            value = low + 0.3 * (high - low)
            return int(value) if type_ == "integer" else value
        case _:
            raise AssertionError(f"WRITTEN needs a value for {schema}")


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind in KINDS for name in sorted(fields(kind))]
)
def test_a_field_that_changes_the_picture_is_written_and_read_back(
    kind: GenerationKind, name: str
) -> None:
    body = WRITTEN.get(name) or {name: other_value(fields(kind)[name])}
    inputs = {"init_img": ENCODED} if kind == "img2img" else {}
    base = {"prompt": "a cat", "ckpt": "tiny", "seed": 9, "n_iter": 1, "sampler": "k_euler"}
    request = parse_request(kind, {**base, **inputs, **body})
    seed = request.seed
    assert seed is not None
    ckpt, vae = str(request.ckpt), request.vae or ""
    refiner = f"{request.refiner_ckpt} [6ce0161689]" if request.refiner else ""
    text = infotext(request, seed=seed, model=ckpt, model_hash="", vae=vae, refiner=refiner)

    found = recipe(text)
    mask = {"mask": body.get("mask")} if kind == "img2img" else {}
    again = parse_request(kind, {**found.request, **inputs, **mask})

    assert (found.source, found.kind) == ("service", kind)
    assert again == request
    assert {part.name for part in found.not_read} <= {"init_img", "mask"}


@pytest.mark.parametrize(
    ("label", "scheduler", "read"),
    [
        ("k_dpmpp_2m_ka", "automatic", ("k_dpmpp_2m", "karras")),
        ("k_dpmpp_2m", "automatic", ("k_dpmpp_2m", None)),
        ("k_dpmpp_2m", "exponential", ("k_dpmpp_2m", "exponential")),
        ("restart", "automatic", ("restart", None)),
        ("k_dpmpp_3m_sde", "ddim_uniform", ("k_dpmpp_3m_sde", "ddim_uniform")),
    ],
)
def test_our_own_automatic_scheduler_is_the_samplers_own(
    label: str, scheduler: str, read: tuple[str, str | None]
) -> None:
    request = parse_request(
        "txt2img", {"prompt": "a", "sampler": label, "scheduler": scheduler, "seed": 1}
    )
    found = recipe(infotext(request, seed=1, model="tiny", model_hash="")).request
    assert (found["sampler"], found.get("scheduler")) == read


@pytest.mark.parametrize(
    ("first", "again", "strength"), [(20, 11, 0.7), (10, 11, 0.7), (20, 50, 0.58), (50, 0, 0.58)]
)
def test_a_second_pass_is_read_back_with_steps_that_its_strength_leaves_out(
    first: int, again: int, strength: float
) -> None:
    body = {"prompt": "a cat", "seed": 1, "ddim_steps": first, "hires_scale": 1.5}
    body |= {"hires_steps": again, "hires_strength": strength}
    request = parse_request("txt2img", body)
    found = recipe(infotext(request, seed=1, model="tiny", model_hash="")).request
    assert (found["hires_strength"], found.get("hires_steps", 0)) == (strength, again)


@pytest.mark.parametrize(
    ("first", "again", "read"),
    [
        (("k_dpmpp_2m_ka", "automatic"), ("k_euler", None), ("k_euler", "automatic")),
        (("k_dpmpp_2m_ka", "automatic"), ("k_lms_ka", None), ("k_lms", None)),
        (("k_euler", "exponential"), ("k_lms_ka", None), ("k_lms", None)),
        (("k_euler", "automatic"), ("k_lms_ka", None), ("k_lms", "karras")),
        (("k_dpmpp_2m_ka", "automatic"), (None, "automatic"), (None, "karras")),
    ],
)
def test_a_second_pass_is_read_back_with_its_own_noise_levels(
    first: tuple[str, str], again: tuple[str | None, str | None], read: tuple[str, str | None]
) -> None:
    body = {"prompt": "a cat", "seed": 1, "hires_scale": 1.5}
    body |= {"sampler": first[0], "scheduler": first[1]}
    body |= {"hires_sampler": again[0], "hires_scheduler": again[1]}
    request = parse_request("txt2img", body)
    found = recipe(infotext(request, seed=1, model="tiny", model_hash="")).request
    assert (found.get("hires_sampler"), found.get("hires_scheduler")) == read


PUBLISHED = """\
a (red:1.2) dragon BREAK on a beach, <lora:style:0.8>
Negative prompt: lowres, [bad]
Steps: 20, Sampler: DPM++ 2M, Schedule type: Automatic, CFG scale: 7, Seed: 965400086, \
Size: 512x768, Model hash: 6CE0161689, Model: other-name, VAE hash: 235745af8d, VAE: gone.pt, \
Variation seed: 5, Variation seed strength: 0.25, Seed resize from: 256x320, Clip skip: 2, \
ENSD: 31337, Lora hashes: "style: 7f8c1c1a8f9d, b: 1234567890", Eta: 0.5, RNG: CPU, Tiling: True, \
Token merging ratio: 0.5, Version: v1.10.1"""


def test_a_recipe_of_automatic1111_is_read() -> None:
    found = recipe(PUBLISHED)

    assert (found.source, found.kind, found.text) == ("automatic1111", "txt2img", PUBLISHED)
    assert found.request == {
        "prompt": "a (red:1.2) dragon BREAK on a beach, <lora:style:0.8>",
        "negative_prompt": "lowres, [bad]",
        "prompt_grammar": "a1111",
        "ddim_steps": 20,
        "sampler": "k_dpmpp_2m",
        "scheduler": "karras",  # A1111's choice for this sampler
        "scale": 7,
        "seed": 965400086,
        "W": 512,
        "H": 768,
        "ckpt": "sd15",  # by its hash
        "variation_seed": 5,
        "variation_strength": 0.25,
        "seed_resize_from_w": 256,
        "seed_resize_from_h": 320,
        "clip_skip": 2,
        "eta": 0.5,
        "tiling": True,
    }
    assert {part.name: part.value for part in found.not_read} == {
        "VAE": "gone.pt",
        "VAE hash": "235745af8d",
        "ENSD": "31337",
        "Lora hashes": "style: 7f8c1c1a8f9d, b: 1234567890",
        "Token merging ratio": "0.5",
    }
    assert all(part.why for part in found.not_read)


@pytest.mark.parametrize(
    ("settings", "read"),
    [
        ("Sampler: DPM++ 2M Karras", {"sampler": "k_dpmpp_2m", "scheduler": "karras"}),
        ("Sampler: DPM++ 2M", {"sampler": "k_dpmpp_2m"}),  # before version 1.9
        (
            "Sampler: DPM++ 3M SDE Exponential",
            {"sampler": "k_dpmpp_3m_sde", "scheduler": "exponential"},
        ),
        ("Sampler: Euler a, Schedule type: Automatic", {"sampler": "k_euler_a"}),
        (
            "Sampler: Euler, Schedule type: SGM Uniform",
            {"sampler": "k_euler", "scheduler": "sgm_uniform"},
        ),
        ("Sampler: DDIM, Eta DDIM: 0.5", {"sampler": "ddim", "ddim_eta": 0.5}),
        ("Denoising strength: 0.4", {"denoising_strength": 0.4, "n_iter": 1}),
        (
            'Denoising strength: 0.4, Mask blur: 4, Inpaint area: Only masked, '
            'Masked area padding: 32, Masked content: latent noise',
            {
                "denoising_strength": 0.4,
                "mask_blur": 4,
                "mask_area": "masked",
                "mask_padding": 32,
                "mask_fill": "noise",
                "n_iter": 1,
            },
        ),
        ("Model hash: 45dee52b, Model: sd15", {"ckpt": "sd15"}),
        ("Model: v1-5-pruned-emaonly", {"ckpt": "sd15"}),
        ("Model: real", {"ckpt": "photos/real"}),
        ("Sigma churn: 2, Sigma tmin: 0.1, Sigma noise: 1.1", {
            "s_churn": 2, "s_tmin": 0.1, "s_noise": 1.1,
        }),
    ],
)  # fmt: skip
def test_settings_of_automatic1111_are_read(settings: str, read: dict[str, Any]) -> None:
    found = recipe(f"a cat\nSteps: 9, CFG scale: 7, Seed: 3, {settings}, RNG: CPU")
    base = {"prompt": "a cat", "ddim_steps": 9, "scale": 7, "seed": 3, "prompt_grammar": "a1111"}
    assert found.request == base | read


@pytest.mark.parametrize(
    ("settings", "name", "words"),
    [
        ("Steps: 5000", "Steps", "too large"),
        ("Size: 500x512", "Size-1", "multiple of 8"),
        ("Seed: 99999999999999999999", "Seed", "too large"),
        ("CFG scale: high", "CFG scale", "not a number"),
        ("Sampler: DEIS", "Sampler", "no such sampler"),
        ("Sampler: Euler, Schedule type: Turbo", "Schedule type", "no such scheduler"),
        ("Sampler: UniPC, Schedule type: Karras", "Schedule type", "noise levels of its own"),
        ("Model: gone, Model hash: 0000000000", "Model", "not installed"),
        ("Model: tiny, Model hash: 9999999999", "Model hash", "its hash is 0123456789"),
        ("Denoising strength: 0.4", "init_img", "does not hold the picture"),
        ("Denoising strength: 0.4, Mask blur: 4", "mask", "does not hold the mask"),
        ("Mask blur: 4", "Mask blur", "no such parameter"),
        ("Face restoration: CodeFormer", "Face restoration", "no such parameter"),
        ("RNG: NV", "RNG", "another picture"),
        (
            "Denoising strength: nan, Hires upscale: 2, Hires steps: 4",
            "Denoising strength",
            "up to 1",
        ),
        (f"Denoising strength: 0.5, Hires steps: {'9' * 400}", "Hires steps", "too large"),
        (f"Denoising strength: 0.5, Hires steps: 4, Steps: {'9' * 400}", "Steps", "too large"),
        ("Postprocess upscale to: 300x9", "Postprocess upscale to-1", "no valid output_height"),
    ],
)
def test_what_cannot_be_read_is_listed(settings: str, name: str, words: str) -> None:
    found = recipe(f"a cat\nSteps: 9, CFG scale: 7, Seed: 3, {settings}")
    (part,) = [part for part in found.not_read if part.name == name]
    assert words in part.why
    parse_request(found.kind, found.request | _picture(found.kind))


def _picture(kind: GenerationKind) -> dict[str, str]:
    return {"init_img": ENCODED} if kind == "img2img" else {}


def test_a_text_without_settings_is_a_prompt() -> None:
    found = recipe("a cat, a dog: two, friends")
    assert (found.source, found.request) == ("unknown", {"prompt": "a cat, a dog: two, friends"})


def test_a_strength_with_hires_fix_is_no_img2img() -> None:
    found = recipe("a\nSteps: 9, Seed: 3, Denoising strength: 0.5, Hires upscale: 2")
    assert found.kind == "txt2img"
    assert "denoising_strength" not in found.request


@pytest.mark.parametrize(
    "text", ["a" * 1_000_000, " " * 1_000_000, "a: " * 300_000, 'a:"' * 300_000, "é," * 500_000]
)
def test_a_long_text_is_read_at_once(text: str) -> None:
    """Only a regular expression that takes quadratic time would meet the test's time limit."""
    assert len(recipe(text).not_read) <= MAX_SETTINGS + 3
