import base64
import io
import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from jobs.errors import Fault, InvalidRequest
from jobs.limits import Limits
from jobs.names import GenerationKind
from jobs.parameters.schemas import SCHEMAS, fields_of
from jobs.prompts.prompt_additions import InstalledAdditions
from jobs.validation.foreign_fields import FOREIGN_FIELDS, REMEDIES
from jobs.validation.model_choice import InstalledModels
from jobs.validation.request import ImageToImage, TextToImage, parse_request
from jobs.validation.stored_request import read_stored

# The reference README's text-to-image example, less its key.
EXAMPLE: dict[str, Any] = {
    "type": "optimized",
    "prompt": "a photo of a red scaley ((dragon)) playing a ((guitar)) on a beach, natural light",
    "negative_prompt": "human, cartoon",
    "outdir": "outputs/txt2img-samples",
    "skip_grid": True,
    "skip_save": False,
    "return_base64": False,
    "synchronous_request": False,
    "ddim_steps": 20,
    "fixed_code": False,
    "ddim_eta": 0.0,
    "n_iter": 1,
    "H": 512,
    "W": 512,
    "C": 4,
    "f": 8,
    "n_samples": 1,
    "n_rows": 0,
    "scale": 7.5,
    "device": "cuda",
    "from-file": False,
    "config": "scripts/v1-inference.yaml",
    "ckpt": "default",
    "seed": 42,
    "unet_bs": 1,
    "turbo": True,
    "format": "png",
    "sampler": "ddim",
    "precision": "autocast",
}


def picture(size: tuple[int, int] = (24, 24)) -> str:
    data = io.BytesIO()
    Image.new("RGB", size, "red").save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()


# What the reference README's image-to-image example has beside the fields of the other one.
IMAGE_EXAMPLE: dict[str, Any] = {
    **EXAMPLE,
    "init_img": picture(),
    "upscale": False,
    "post_upscale": False,
    "denoising_strength": 0.5,
    "noise_multiplier": 1.0,
    "ddim_steps": 50,
    "n_iter": 2,
    "ckpt": {"sd14": "model.ckpt", "sd21": "model2.ckpt", "sd15": "model15.ckpt"},
    "sampler": "plms",
}


def faults(
    body: dict[str, Any], kind: GenerationKind = "txt2img", **options: Any
) -> tuple[Fault, ...]:
    with pytest.raises(InvalidRequest) as caught:
        parse_request(kind, body, **options)
    return caught.value.faults


def test_the_examples_of_the_reference_are_valid_as_printed() -> None:
    text = parse_request("txt2img", EXAMPLE)
    image = parse_request("img2img", IMAGE_EXAMPLE)
    assert isinstance(text, TextToImage)
    assert isinstance(image, ImageToImage)
    assert image.ckpt == IMAGE_EXAMPLE["ckpt"]
    assert image.image_count == 2


def test_only_a_prompt_is_needed_and_the_rest_is_the_templates() -> None:
    request = parse_request("txt2img", {"prompt": "a cat"})
    left_out = {name for name in EXAMPLE if name not in ("prompt", "negative_prompt", "device")}
    stored = request.stored()
    assert {name: stored[name] or False for name in left_out - {"config"}} == {
        name: EXAMPLE[name] for name in left_out - {"config"}
    }


def test_an_image_request_needs_its_image() -> None:
    assert [fault.field for fault in faults({"prompt": "a"}, "img2img")] == ["init_img"]


def test_the_type_left_out_is_the_one_that_is_served() -> None:
    assert parse_request("txt2img", {"prompt": "a"}, default_type="standard").type == "standard"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"type": "gpu"}, "enum"),
        ({"type": "Optimized "}, "enum"),
        ({"prompt": 7}, "type"),
        ({"prompt": "a" * 20_001}, "too_long"),
        ({"prompt": "a\0b"}, "invalid_characters"),
        ({"prompt": "\ud800"}, "invalid_characters"),
        ({"negative_prompt": {"x": 1}}, "type"),
        ({"from-file": "prompts.txt"}, "unknown_prompt_file"),
        ({"from-file": True}, "type"),
        ({"from-file": 5}, "type"),
        ({"from-file": "/etc/passwd"}, "not_a_name"),
        ({"from-file": "../x"}, "not_a_name"),
        ({"outdir": "../../etc"}, "outside_output_root"),
        ({"outdir": "/etc/cron.d"}, "absolute_path"),
        ({"outdir": "a/../../b"}, "outside_output_root"),
        ({"outdir": "..\\..\\x"}, "not_a_name"),
        ({"outdir": "%2e%2e/x"}, "not_a_name"),
        ({"outdir": "a\0b"}, "invalid_characters"),
        ({"outdir": ".hidden"}, "not_a_name"),
        ({"outdir": "a" * 300}, "too_long"),
        ({"outdir": "a/" * 200}, "too_long"),
        ({"outdir": "s3://other/x"}, "not_a_name"),
        ({"config": "../../secrets.yaml"}, "unknown_config"),
        ({"ckpt": {}}, "type"),
        ({"ckpt": 3}, "type"),
        ({"ckpt": {"sd14": "a\0b"}}, "invalid_characters"),
        ({"ckpt": {"\ud800": "model.ckpt"}}, "invalid_characters"),
        ({"ckpt": {"a" * 1025: "model.ckpt"}}, "type"),
        ({"ckpt": "sd21", "config": "scripts/v1-inference.yaml"}, "config_mismatch"),
        ({"turbo": "false"}, "type"),
        ({"turbo": 0}, "type"),
        ({"ddim_steps": 0}, "range"),
        ({"ddim_steps": 1001}, "range"),
        ({"ddim_steps": 20.5}, "type"),
        ({"ddim_steps": "20"}, "type"),
        ({"ddim_steps": True}, "type"),
        ({"ddim_eta": -0.1}, "range"),
        ({"ddim_eta": 1e9}, "range"),
        ({"ddim_eta": math.nan}, "range"),
        ({"scale": math.nan}, "not_finite"),
        ({"scale": math.inf}, "not_finite"),
        ({"scale": "7"}, "type"),
        ({"n_iter": 10**4000}, "range"),
        ({"n_samples": 0}, "range"),
        ({"n_iter": 9, "n_samples": 9}, "too_expensive"),
        ({"n_iter": 64, "ddim_steps": 51}, "too_expensive"),
        ({"H": 500}, "multiple_of"),
        ({"H": 513}, "multiple_of"),
        ({"H": 8}, "range"),
        ({"W": -64}, "range"),
        ({"W": 520}, "range"),
        ({"C": 3}, "must_match_model"),
        ({"f": 0}, "must_match_model"),
        ({"n_rows": -1}, "range"),
        ({"n_rows": 0.5}, "type"),
        ({"unet_bs": 0}, "range"),
        ({"unet_bs": 0.5}, "type"),
        ({"seed": -2}, "range"),
        ({"seed": 2**53 - 1, "n_samples": 2}, "range"),
        ({"seed": 2**64}, "range"),
        ({"seed": 1.5}, "type"),
        ({"seed": "42"}, "type"),
        ({"seed": True}, "type"),
        ({"format": "gif"}, "enum"),
        ({"sampler": "k_nothing"}, "enum"),
        ({"sampler": ["ddim"]}, "enum"),
        ({"precision": "fp8"}, "enum"),
        ({"device": "cuda:99"}, "enum"),
        ({"device": "cpu; rm -rf"}, "enum"),
        ({"plms": True}, "not_for_this_type"),
        ({"init_img": "x"}, "not_for_this_type"),
        ({"denoising_strength": 0.5}, "not_for_this_type"),
        ({"skip_save": True}, "nothing_to_return"),
    ],
)
def test_a_fault_is_named_with_its_field(change: dict[str, Any], code: str) -> None:
    (fault,) = faults({**EXAMPLE, **change})
    assert fault.code == code
    assert fault.field in change
    assert fault.problem
    assert fault.expected


@pytest.mark.parametrize(
    ("field", "prompt", "named"),
    [
        ("prompt", "a (cat:1.2.3) on grass", "1.2.3"),
        ("negative_prompt", "dog, (fog:2.2.2)", "2.2.2"),
    ],
)
def test_a_prompt_that_cannot_be_read_is_refused_where_it_is_wrong(
    field: str, prompt: str, named: str
) -> None:
    (fault,) = faults({**EXAMPLE, field: prompt})
    assert (fault.field, fault.code) == (field, "bad_prompt")
    assert named in fault.problem
    assert "emphasis" in fault.expected


def test_all_faults_are_reported_at_once_those_between_fields_too() -> None:
    body = {"prompt": "a", "scale": "x", "W": 1024, "plms": True, "skip_save": True, "what": 1}
    assert {fault.field for fault in faults(body)} == {"scale", "W", "plms", "skip_save", "what"}


@pytest.mark.parametrize(
    ("field", "value", "owner"),
    [("plms", False, "standard"), ("laion400m", True, "standard"), ("upscale", True, "img2img")],
)
def test_a_field_of_another_schema_is_refused_with_where_it_belongs(
    field: str, value: object, owner: str
) -> None:
    (fault,) = faults({"prompt": "a", "type": "optimized", field: value})
    assert (fault.field, fault.code) == (field, "not_for_this_type")
    assert owner in fault.problem
    assert owner in fault.expected


def test_the_other_faults_of_a_body_of_no_known_type_are_reported_too() -> None:
    found = faults({"prompt": "a", "type": "gpu", "plms": True, "W": 63})
    assert {(fault.field, fault.code) for fault in found} == {
        ("type", "enum"),
        ("W", "multiple_of"),
    }
    assert next(fault for fault in found if fault.field == "type").expected == (
        "one of: standard, optimized"
    )


def test_each_kind_and_type_has_a_schema_of_its_own() -> None:
    read = {
        (kind, job_type): parse_request(
            kind,
            {
                "prompt": "a",
                "type": job_type,
                **({"init_img": picture()} if kind == "img2img" else {}),
            },
        )
        for kind in ("txt2img", "img2img")
        for job_type in ("standard", "optimized")
    }
    assert len({type(request) for request in read.values()}) == 4
    assert all(request.type == job_type for (_, job_type), request in read.items())
    assert all(request.kind == kind for (kind, _), request in read.items())


def test_a_misspelt_field_is_answered_with_the_nearest_name() -> None:
    unknown, missing = faults({"prmopt": "a"})
    assert (unknown.field, unknown.expected) == ("prmopt", "did you mean prompt?")
    assert (missing.field, missing.code) == ("prompt", "missing")


def test_of_ten_thousand_unknown_fields_twenty_are_reported() -> None:
    assert len(faults({"prompt": "a", **{f"x{n}": 1 for n in range(10_000)}})) == 20


def test_no_fault_repeats_a_key_or_a_picture() -> None:
    body = {"prompt": "a", "api_key": "secret-key", "init_img": "secret-picture"}
    assert "secret" not in str(faults(body, "img2img"))


def test_bounds_can_be_set() -> None:
    limits = Limits(max_side=256, max_images=2)
    found = faults({"prompt": "a", "H": 512, "W": 256, "n_iter": 3}, limits=limits)
    assert {(fault.field, fault.code) for fault in found} == {
        ("H", "range"),
        ("n_iter", "too_expensive"),
    }


def installed(default: str = "tiny") -> InstalledModels:
    sizes = {"tiny": 64, "sd15": 512, "sd21v": 768, "mine-v": 768, "large": 1024}
    costs = {"large": 2.5}
    return InstalledModels(default=default, names=tuple(sizes), native_sizes=sizes, costs=costs)


@pytest.mark.parametrize(
    ("ckpt", "default"),
    [
        ("sd2.1v", "tiny"),
        ("mine-v", "tiny"),
        ("default", "mine-v"),
        ({"sd14": "model.ckpt", "mine-v": "x"}, "tiny"),
    ],
)
def test_a_model_trained_at_768_may_draw_larger(ckpt: str | dict[str, str], default: str) -> None:
    body = {"prompt": "a", "H": 768, "W": 768, "ckpt": ckpt}
    assert parse_request("txt2img", body, models=installed(default)).H == 768


@pytest.mark.parametrize("side", [100, 776, 4096, 0, "large", 64.5])
@pytest.mark.parametrize(
    ("ckpt", "largest"), [("sd15", 512), ("sd21v", 768), ("default", 512), ("sd99", 512)]
)
def test_a_wrong_side_is_answered_with_the_limit_of_the_model(
    side: object, ckpt: object, largest: int
) -> None:
    found = faults({"prompt": "a", "W": side, "ckpt": ckpt}, models=installed())
    (fault,) = (fault for fault in found if fault.field == "W")
    assert fault.expected == f"a multiple of 8 from 64 up to {largest}"


def test_a_model_trained_at_1024_draws_the_sizes_it_was_trained_on() -> None:
    body = {"prompt": "a", "H": 640, "W": 1536, "ckpt": "large"}
    assert parse_request("txt2img", body, models=installed()).W == 1536
    (fault,) = faults({**body, "W": 1544}, models=installed())
    assert fault.expected == "a multiple of 8 from 64 up to 1536"


def test_the_work_of_a_model_counts_its_cost() -> None:
    body = {"prompt": "a", "H": 512, "W": 512, "ddim_steps": 10, "ckpt": "large"}
    limits = Limits(max_work=25 * 512 * 512)
    assert parse_request("txt2img", body, models=installed(), limits=limits).ddim_steps == 10
    (fault,) = faults({**body, "ddim_steps": 11}, models=installed(), limits=limits)
    assert (fault.field, fault.code) == ("ddim_steps", "too_expensive")
    assert "n_iter·n_samples·H·W·ddim_steps·2.5 for the model is 7208960" in fault.problem
    assert "ddim_steps up to 10" in fault.expected
    cheaper = {**body, "ddim_steps": 25, "ckpt": "sd15"}
    assert parse_request("txt2img", cheaper, models=installed(), limits=limits).ddim_steps == 25


def test_the_cost_of_a_model_counts_in_both_passes() -> None:
    body = {"prompt": "a", "H": 512, "W": 512, "ddim_steps": 4, "ckpt": "large"}
    passes = {**body, "hires_scale": 2, "hires_steps": 1, "hires_strength": 1}
    limits = Limits(max_work=20 * 512 * 512)
    assert parse_request("txt2img", passes, models=installed(), limits=limits).ddim_steps == 4
    (fault,) = faults({**passes, "hires_steps": 2}, models=installed(), limits=limits)
    assert (fault.field, fault.code) == ("hires_steps", "too_expensive")
    cheaper = {**passes, "hires_steps": 4, "ckpt": "sd15"}
    found = parse_request("txt2img", cheaper, models=installed(), limits=limits)
    assert isinstance(found, TextToImage) and found.hires_steps == 4


def test_no_setting_raises_the_largest_side_of_the_schema() -> None:
    (fault,) = faults({"prompt": "a", "H": 4096}, limits=Limits(max_side=8192))
    assert fault.expected == "a multiple of 8 from 64 up to 2048"


def test_an_addition_that_is_not_installed_is_a_fault_beside_the_others() -> None:
    additions = InstalledAdditions(
        loras=("soft",), embeddings=("cat-style", "style/ink"), embedding_aliases=("ink",)
    )
    body = {
        "prompt": "<lora:soft> <lora:hard>",
        "negative_prompt": "<bad> <CAT-STYLE> <style/ink> <ink>",
        "H": 5,
    }
    found = faults(body, additions=additions)
    assert {(fault.field, fault.code, fault.value) for fault in found} == {
        ("prompt", "unknown_lora", "hard"),
        ("negative_prompt", "unknown_embedding", "bad"),
        ("H", "multiple_of", 5),
    }
    assert {fault.code for fault in faults(body)} == {"multiple_of"}


@pytest.mark.parametrize("seed", [None, False, -1, -1.0])
def test_no_seed_is_left_to_be_drawn(seed: object) -> None:
    assert parse_request("txt2img", {"prompt": "a", "seed": seed}).seed is None


def test_null_means_that_a_field_is_omitted() -> None:
    everything = dict.fromkeys(fields_of(SCHEMAS["txt2img"]["standard"]))
    omitted = parse_request("txt2img", {"prompt": "a", "seed": None})
    assert parse_request("txt2img", everything | {"prompt": "a"}) == omitted
    (fault,) = faults({"prompt": None, "negative_prompt": None})
    assert (fault.field, fault.code) == ("prompt", "missing")
    (fault,) = faults({"prompt": "a", "prmopt": None})
    assert (fault.field, fault.code) == ("prmopt", "unknown_field")


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({"n_samples": 65}, "n_samples", "n_samples up to 64, so that n_iter·n_samples"),
        ({"n_samples": 65, "n_iter": 1}, "n_samples", "n_samples up to 64"),
        ({"n_samples": 33, "n_iter": 2}, "n_samples", "n_samples up to 32"),
        ({"n_samples": 10, "n_iter": 100}, "n_iter", "n_iter up to 6"),
        ({"n_iter": 64, "ddim_steps": 51}, "ddim_steps", "ddim_steps up to 50"),
        ({"n_samples": 64, "H": 512, "W": 512, "ddim_steps": 100}, "ddim_steps", "up to 50"),
    ],
)
def test_a_product_beyond_its_cap_names_a_written_field_and_its_bound(
    body: dict[str, Any], field: str, says: str
) -> None:
    (fault,) = faults({"prompt": "a", **body})
    assert (fault.field, fault.value, fault.code) == (field, body[field], "too_expensive")
    assert says in fault.expected
    bound = int(fault.expected.split("up to ")[1].split(",")[0])
    parse_request("txt2img", {"prompt": "a", **body, field: bound})


def test_the_last_seed_of_a_job_can_be_sent_again() -> None:
    body = {"prompt": "a", "n_iter": 2, "n_samples": 2}
    (fault,) = faults({**body, "seed": 2**53 - 1})
    assert (fault.field, fault.code) == ("seed", "range")
    largest = int(fault.expected.split()[-1])
    parse_request("txt2img", {**body, "seed": largest})
    assert largest + 3 == 2**53 - 1


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("width", 512, "did you mean W?"),
        ("Height", 512, "did you mean H?"),
        ("batch_size", 2, "did you mean n_samples?"),
        ("num_inference_steps", 20, "did you mean ddim_steps?"),
        ("guidance_scale", 7, "did you mean scale?"),
        ("cfg_scale", 7, "did you mean scale?"),
        ("init_images", ["x"], "did you mean init_img? It belongs to img2img"),
        ("sampler_name", "dpmpp_2m", "did you mean sampler, with the value k_dpmpp_2m?"),
        ("prmopt", "a", "did you mean prompt?"),
        ("PROMPT", "a", "did you mean prompt?"),
        ("w", 512, "did you mean W?"),
        ("numInferenceSteps", 20, "did you mean ddim_steps?"),
        ("cfg-scale", 7, "did you mean scale?"),
        ("denoising-strength", 1, "did you mean denoising_strength? It belongs to img2img"),
        ("size", "512x512", "W and H, in pixels"),
        ("loras", [], "a LoRA in the prompt: <lora:name:0.8>"),
        ("apiKey", "k", "api_key, or the header X-API-Key"),
        ("style", "vivid", "a field of the template"),
    ],
)
def test_a_field_of_another_tool_gets_its_name_here(field: str, value: Any, says: str) -> None:
    (fault,) = faults({"prompt": "a", field: value})
    assert (fault.field, fault.code, fault.expected) == (field, "unknown_field", says)


def test_every_field_of_another_tool_stands_for_a_field_and_is_none_itself() -> None:
    generating = (SCHEMAS["txt2img"], SCHEMAS["img2img"])
    known = {name for types in generating for each in types.values() for name in fields_of(each)}
    assert set(FOREIGN_FIELDS.values()) <= known
    assert not (set(FOREIGN_FIELDS) | set(REMEDIES)) & {name.lower() for name in known}


@pytest.mark.parametrize("field", ["n_iter", "n_samples"])
def test_a_count_out_of_range_names_the_bound_of_the_settings(field: str) -> None:
    for value in (0, 5000):
        (fault,) = faults({"prompt": "a", field: value})
        assert fault.expected == "an integer from 1 up to 64"


def test_plms_of_the_standard_template_chooses_the_sampler() -> None:
    body = {"prompt": "a", "type": "standard", "plms": True, "laion400m": False}
    assert parse_request("txt2img", body).sampler == "plms"


def test_a_whole_decimal_is_a_unet_batch() -> None:
    assert parse_request("txt2img", {"prompt": "a", "unet_bs": 2.0}).unet_bs == 2


def test_a_stored_request_reads_back_without_its_picture() -> None:
    request = parse_request("img2img", IMAGE_EXAMPLE).settled(model="tiny", seed=3)
    stored = json.loads(json.dumps(request.stored()))
    assert "init_img" not in stored
    again = read_stored("img2img", stored)
    assert isinstance(again, ImageToImage)
    assert again.init_img == b""
    assert again.stored() == stored


def test_a_record_of_an_older_version_can_be_read() -> None:
    stored = parse_request("txt2img", {"prompt": "a"}).stored()
    assert read_stored("txt2img", {**stored, "plms": False}).stored() == stored


VALID = st.fixed_dictionaries(
    {"prompt": st.text(st.characters(exclude_characters="\0([:", codec="utf-8"), max_size=50)},
    optional={
        "H": st.integers(8, 64).map(lambda n: 8 * n),
        "W": st.integers(8, 64).map(lambda n: 8 * n),
        "ddim_steps": st.integers(1, 50),
        "scale": st.floats(-100, 100),
        # the seeds of 64 pictures count up from it
        "seed": st.one_of(st.none(), st.just(False), st.integers(0, 2**53 - 64)),
        "n_iter": st.integers(1, 8),
        "n_samples": st.integers(1, 8),
        "outdir": st.from_regex(r"\A[a-z][A-Za-z0-9_-]{0,9}(/[a-z]{1,9}){0,3}\Z"),
        "turbo": st.booleans(),
    },
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@settings(max_examples=100, deadline=None)
@given(VALID)
def test_a_valid_body_is_accepted_and_reads_back(body: dict[str, Any]) -> None:
    request = parse_request("txt2img", body).settled(model="tiny", seed=1)
    assert read_stored("txt2img", json.loads(json.dumps(request.stored()))) == request


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([*IMAGE_EXAMPLE, "plms", "nonsense"]), ANYTHING)
def test_any_value_of_a_field_is_accepted_or_named(field: str, value: object) -> None:
    body = {**IMAGE_EXAMPLE, field: value}
    try:
        parse_request("img2img", body)
    except InvalidRequest as error:
        json.dumps([vars(fault) for fault in error.faults], allow_nan=False)
        assert error.faults


def test_a_choice_that_is_nearly_right_is_answered_with_the_right_one() -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_request("txt2img", {"prompt": "a", "sampler": "k_eulr", "format": "jpgg"})
    expected = {fault.field: fault.expected for fault in refused.value.faults}
    assert expected["sampler"].startswith("did you mean k_euler? one of: ddim, ")
    assert expected["format"] == "did you mean jpg? one of: png, jpg, webp"


def test_a_folder_that_cannot_be_is_answered_with_one_that_can() -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_request("txt2img", {"prompt": "a", "outdir": "../etc"})
    (fault,) = refused.value.faults
    assert "such as outputs/cats" in fault.expected


def test_a_request_hands_over_its_inputs_by_role() -> None:
    request = parse_request("img2img", IMAGE_EXAMPLE)
    assert isinstance(request, ImageToImage)
    assert request.inputs == {"init": request.init_img}
    assert request.init_img.startswith(b"\x89PNG")
    assert parse_request("txt2img", {"prompt": "a"}).inputs == {}


def test_a_request_of_a_record_names_its_inputs_without_their_pixels() -> None:
    stored = parse_request("img2img", IMAGE_EXAMPLE).stored()
    assert read_stored("img2img", stored).inputs == {"init": b""}
