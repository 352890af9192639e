"""What holds of every request: valid ones are taken, and one wrong field is named, alone."""

import base64
import io
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from jobs.errors import InvalidRequest
from jobs.limits import Limits
from jobs.names import (
    CONFIGS,
    JOB_TYPES,
    SAMPLERS,
    SCHEDULERS,
    GenerationKind,
    model_named,
    network_kind,
)
from jobs.parameters.schemas import SCHEMAS, fields_of
from jobs.validation.request import parse_request
from jobs.validation.stored_request import read_stored
from tests.jobs.wrong_values import WRONG

Body = dict[str, Any]


def picture() -> str:
    data = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()


PICTURE = picture()
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0()[]:\\"), max_size=30)
PROMPT = st.lists(
    WORDS | st.sampled_from(["(cat)", "((red))", "[dog]", "(a blue sky:1.3)"]), max_size=4
).map(" ".join)
SIDE = st.integers(8, 64).map(lambda eighths: 8 * eighths)
OUTPUT_SIDE = st.integers(64, 4096)
SWITCH = st.booleans()
MODELS = st.sampled_from(["default", "tiny", "sd14", "SD2.1", "sd21v.safetensors", "my own"])
NAME = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=9)
OBJECT = st.dictionaries(NAME, st.just("model.ckpt"), min_size=1, max_size=32)
SAMPLER = st.sampled_from([name for row in SAMPLERS for name in (row.key, row.label, *row.aliases)])
SCHEDULER = st.sampled_from(
    [name for row in SCHEDULERS for name in (row.key, row.label, *row.aliases)]
)
SHARE = st.floats(0, 1)
FOLDER = st.from_regex(r"\A[a-z0-9][A-Za-z0-9_-]{0,9}(/[a-z]{1,9}){0,3}/?\Z")

OF_EVERY_REQUEST: dict[str, st.SearchStrategy[Any]] = {
    "negative_prompt": PROMPT,
    "outdir": FOLDER | st.just(""),
    "skip_grid": SWITCH,
    "return_base64": SWITCH,
    "synchronous_request": SWITCH,
    "ddim_steps": st.integers(1, 1000),
    "fixed_code": SWITCH,
    "ddim_eta": SHARE,
    "scheduler": SCHEDULER,
    "eta": st.none() | SHARE,
    "s_churn": st.floats(0, 1000),
    "s_tmin": SHARE,
    "s_tmax": st.none() | st.floats(1, 1000),
    "s_noise": st.floats(0, 10),
    "guidance_rescale": SHARE,
    "guidance_start": st.floats(0, 0.5),
    "guidance_end": st.floats(0.5, 1),
    "variation_seed": st.none() | st.sampled_from([False, -1]) | st.integers(0, 2**52),
    "variation_strength": SHARE,
    "seed_resize_from_h": st.none() | SIDE,
    "seed_resize_from_w": st.none() | SIDE,
    "tiling": SWITCH,
    "refiner": st.none()
    | st.builds(lambda at: {"ckpt": "tiny", "switch_at": at}, st.floats(0, 0.99)),
    "cache": st.none() | st.builds(lambda n: {"interval": n}, st.integers(2, 10)),
    "n_iter": st.integers(1, 9),
    "H": SIDE,
    "W": SIDE,
    "C": st.just(4),
    "f": st.just(8),
    "n_samples": st.integers(1, 9),
    "n_rows": st.integers(0, 1000),
    "scale": st.floats(-100, 100) | st.integers(-100, 100),
    "device": st.sampled_from(["cpu", "cuda", "cuda:0", "cuda:15", None]),
    "from-file": st.sampled_from([False, "", None]),
    "ckpt": MODELS | OBJECT,
    "vae": st.sampled_from([None, "mse", "kl-f8 (anime).vae.pt"]),
    "preset": st.sampled_from([None, "fast", "quality"]),
    "seed": st.none() | st.sampled_from([False, -1]) | st.integers(0, 2**52),
    "unet_bs": st.integers(1, 128) | st.integers(1, 128).map(float),
    "turbo": SWITCH,
    "deterministic": SWITCH,
    "format": st.sampled_from(["png", "jpg", "webp"]),
    "sampler": SAMPLER,
    "precision": st.sampled_from(["mixed", "full", "autocast"]),
    "priority": st.integers(0, 9),
    "webhook": st.none() | st.just("https://example.com/hook?of=mine"),
}
OF_A_TYPE: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "standard": {"plms": SWITCH, "laion400m": SWITCH},
    "optimized": {},
}
OF_A_KIND: dict[GenerationKind, dict[str, st.SearchStrategy[Any]]] = {
    "txt2img": {
        "hires_scale": st.none(),
        "hires_width": st.none(),
        "hires_height": st.none(),
        "hires_steps": st.integers(0, 1000),
        "hires_strength": st.floats(0, 1, exclude_min=True),
        "hires_upscaler": st.sampled_from(["latent", "latent_nearest", "default", "lanczos"]),
        "hires_prompt": PROMPT,
        "hires_negative_prompt": PROMPT,
        "hires_sampler": SAMPLER | st.none(),
        "hires_scheduler": SCHEDULER | st.none(),
    },
    "img2img": {
        "denoising_strength": st.floats(0, 1, exclude_min=True),
        "noise_multiplier": st.floats(0, 10),
        "upscale": SWITCH,
        "post_upscale": SWITCH,
        "mask": st.just(PICTURE) | st.none(),
        "mask_invert": SWITCH,
        "mask_blur": st.floats(0, 64),
        "mask_fill": st.sampled_from(["original", "fill", "noise", "latent_nothing"]),
        "mask_area": st.sampled_from(["whole", "masked"]),
        "mask_padding": st.integers(0, 2048),
        "extend": st.none() | st.just({"left": 0, "bottom": 0.0}),
        "image_scale": st.floats(0, 100),
    },
}
REQUIRED: dict[GenerationKind, dict[str, st.SearchStrategy[Any]]] = {
    "txt2img": {"prompt": PROMPT},
    "img2img": {"prompt": PROMPT, "init_img": st.just(PICTURE)},
}


@st.composite
def valid_requests(draw: st.DrawFn) -> tuple[GenerationKind, Body]:
    """A kind, and a body of it in which every field is right by itself and with the others."""
    kind = draw(st.sampled_from(list(REQUIRED)))
    job_type = draw(st.sampled_from(JOB_TYPES))
    optional = {**OF_EVERY_REQUEST, **OF_A_TYPE[job_type], **OF_A_KIND[kind]}
    body = draw(st.fixed_dictionaries(REQUIRED[kind], optional=optional))
    if job_type != "optimized" or draw(SWITCH):
        body["type"] = job_type
    returned = body.get("return_base64") or body.get("synchronous_request")
    if returned or body.get("skip_grid") is False:
        body["skip_save"] = draw(SWITCH)
    if draw(SWITCH):
        body |= {"output_width": draw(OUTPUT_SIDE), "output_height": draw(OUTPUT_SIDE)}
    ckpt = body.get("ckpt", "default")
    described = network_kind(model_named(ckpt)) if isinstance(ckpt, str) else None
    fitting = [name for name, network in CONFIGS.items() if described in (None, network)]
    if draw(SWITCH):
        body["config"] = draw(st.sampled_from([*fitting, None]))
    return kind, body


def cheap(body: Body) -> Body:
    """The same body, so small that no price can be wrong."""
    return body | {"n_iter": 1, "n_samples": 1, "ddim_steps": 2, "H": 64, "W": 64}


@settings(max_examples=200)
@given(valid_requests())
def test_a_valid_body_is_taken_unless_it_costs_too_much(sent: tuple[GenerationKind, Body]) -> None:
    kind, body = sent
    limits = Limits()
    steps = body.get("ddim_steps", 20 if kind == "txt2img" else 50)
    images = body.get("n_iter", 1 if kind == "txt2img" else 2) * body.get("n_samples", 1)
    work = images * steps * body.get("H", 512) * body.get("W", 512)
    output = images * body.get("output_width", 0) * body.get("output_height", 0)
    try:
        request = parse_request(kind, body, limits=limits)
    except InvalidRequest as error:
        codes = {fault.code for fault in error.faults}
        if body.get("upscale") and body.get("mask_area") == "masked":
            codes.discard("keeps_its_size")
            if not codes:
                return
        assert codes == {"too_expensive"}
        dear = images > limits.max_images or work > limits.max_work
        assert dear or output > limits.max_output_pixels
    else:
        assert request.image_count == images <= limits.max_images
        assert request.image_count * request.H * request.W * request.ddim_steps == work
        assert work <= limits.max_work
        assert output <= limits.max_output_pixels
        settled = request.settled(model="tiny", seed=1)
        again = read_stored(kind, json.loads(json.dumps(settled.stored())))
        assert again.stored() == settled.stored()


@settings(max_examples=400)
@given(valid_requests(), st.data())
def test_of_a_body_with_one_wrong_field_that_field_and_no_other_is_named(
    sent: tuple[GenerationKind, Body], data: st.DataObject
) -> None:
    kind, body = sent[0], cheap(sent[1])
    known = fields_of(SCHEMAS[kind][body.get("type", "optimized")])
    field = data.draw(st.sampled_from(sorted(WRONG.keys() & known)))
    body |= {field: data.draw(WRONG[field])}

    try:
        parse_request(kind, body)
    except InvalidRequest as error:
        (fault,) = error.faults
        assert fault.field == field
        assert fault.problem
        assert fault.expected
        json.dumps(fault.value, allow_nan=False)
    else:
        raise AssertionError(f"{field}={body[field]!r} was taken")
