"""The OpenAI dialect: a body becomes a job, and no field is ignored without a warning."""

import base64
import io
from typing import Any

import pytest
from openai.types import image_edit_params, image_generate_params
from PIL import Image

from api.dialects.openai.answers import ANSWERED_QUALITY
from api.dialects.openai.form_values import typed
from api.dialects.openai.images_of_edit import Picture, take_images
from api.dialects.openai.masks import mask_fields
from api.dialects.openai.request_models import NATIVE_NAMES, OPTIONS, WITHOUT_NAME, ImageOptions
from api.dialects.openai.translation import STEPS_OF_QUALITY, Translated, Translator
from jobs.errors import InvalidRequest
from jobs.limits import Limits
from jobs.names import JobKind
from jobs.parameters.schemas import SCHEMAS, fields_of
from jobs.served import Served
from jobs.validation.request import parse_request
from jobs.worker_facts import ModelFacts

MODELS = ("tiny", "photos/realistic")
SERVED = Served(
    types=("optimized", "standard"),
    models=MODELS,
    alive=True,
    model_facts=(
        ModelFacts(name="tiny", native_size=256),
        ModelFacts(name="photos/realistic", native_size=512),
    ),
)
TRANSLATOR = Translator(served=SERVED, default_model="tiny", limits=Limits())
# OpenAI's fields → a value that is not their default.
OWN: dict[str, Any] = {
    "prompt": "a dog",
    "model": "photos/realistic",
    "n": 2,
    "size": "192x256",
    "response_format": "url",
    "output_format": "jpeg",
    "output_compression": 50,
    "background": "transparent",
    "quality": "high",
    "stream": True,
    "partial_images": 2,
    "user": "zoe",
    "safety_identifier": "zoe",
    "style": "natural",
    "moderation": "low",
    "complexity": "low",
    "frame_count": 4,
    "frame_duration_ms": 100,
    "svg": {"model": "x"},
    "seed": 7,
    "type": "standard",
    "steps": 3,
    "guidance_scale": 4,
    "strength": 0.3,
    "input_fidelity": "high",
}
IN_THE_ANSWER = {"response_format", "stream", "user", "safety_identifier"}
"""Their effects are tested on the answers (test_openai_answers.py, test_openai_stream.py)."""
EVERY_FIELD = [(kind, name) for kind, model in OPTIONS.items() for name in model.model_fields]


def picture(width: int = 64, height: int = 64) -> str:
    return encoded(Image.new("RGB", (width, height), "red"))


def encoded(image: Image.Image) -> str:
    data = io.BytesIO()
    image.save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()


def translated(kind: JobKind = "txt2img", **sent: Any) -> Translated:
    body = {"prompt": "a cat", **sent}
    edited = take_images({"image": picture(), **body}) if kind == "img2img" else None
    for name in ("image", "images", "mask", "markup"):
        body.pop(name, None)
    return TRANSLATOR.translate(kind, body, edited)


def faults(kind: JobKind = "txt2img", **sent: Any) -> dict[str, str]:
    """Field → what is expected, of a body that is refused."""
    with pytest.raises(InvalidRequest) as refused:
        translated(kind, **sent)
    return {fault.field: fault.expected for fault in refused.value.faults}


VALUES = {
    "vary": {"scale": [4, 8]},
    "hires_strength": 0.5,
    "cache": {"interval": 3},
    "refiner": {"ckpt": "tiny"},
}
"""Valid values of fields whose schema does not say all."""


def another(kind: JobKind, name: str) -> Any:
    """A valid value of a field of the service that is not its default."""
    described = OPTIONS[kind].model_json_schema()["properties"][name]
    default = OPTIONS[kind].model_fields[name].default
    choices = described.get("anyOf", [described])[0]
    if "enum" in choices:
        return next(value for value in reversed(choices["enum"]) if value != default)
    if name in VALUES:
        return VALUES[name]
    match choices.get("type"):
        case "boolean":
            return not default
        case "integer" | "number":
            least, most = choices.get("minimum", -1), choices.get("maximum", 1_000_000)
            return next(value for value in (least, most) if value != default)
        case "object":
            return {"left": 8}
        case _:
            return {"device": "cuda:1", "webhook": "https://example.org/hook"}.get(name, "words")


@pytest.mark.parametrize(("kind", "name"), EVERY_FIELD, ids=str)
def test_every_field_changes_the_job_or_the_answer_or_has_a_warning(
    kind: JobKind, name: str
) -> None:
    if name in ("C", "f"):
        assert name in faults(kind, **{name: 3})  # every model has the same
        return
    own = name in ImageOptions.model_fields or name in ("strength", "input_fidelity")
    value = OWN[name] if own else another(kind, name)

    others = {"type": "standard"} if name == "plms" else {}
    plain, changed = translated(kind, **others), translated(kind, **others, **{name: value})

    if not own:
        assert changed.body == {**plain.body, name: value}
        assert not changed.warnings
    elif name not in IN_THE_ANSWER:
        warned = [warning for warning in changed.warnings if warning.startswith(f"{name}: ")]
        assert warned or changed.body != plain.body
        assert len(warned) == len(changed.warnings)
        parse_request(kind, changed.body)


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_body_of_nothing_but_defaults_is_the_same_as_none_and_has_no_warning(
    kind: JobKind,
) -> None:
    defaults = {name: info.default for name, info in OPTIONS[kind].model_fields.items()}
    del defaults["plms"]  # only with the type standard

    stated = translated(kind, **{**defaults, "prompt": "a cat"})

    assert not stated.warnings
    read = [parse_request(kind, each.body) for each in (stated, translated(kind))]
    assert read[0] == read[1]


@pytest.mark.parametrize("kind", OPTIONS)
def test_every_field_of_the_service_has_a_name_here_or_is_refused(kind: JobKind) -> None:
    for schema in SCHEMAS[kind].values():
        for name in fields_of(schema):
            if name in NATIVE_NAMES or name in WITHOUT_NAME:
                assert name in faults(kind, **{name: 1})
            else:
                assert name in OPTIONS[kind].model_fields or name == "mask"


@pytest.mark.parametrize("quality", STEPS_OF_QUALITY)
def test_a_better_quality_has_more_steps(quality: str) -> None:
    job = translated(quality=quality)

    assert {**job.usual, **job.body}["ddim_steps"] == STEPS_OF_QUALITY[quality]
    assert ANSWERED_QUALITY.get(quality, quality) in ("low", "medium", "high", "xhigh", "max")
    assert STEPS_OF_QUALITY["low"] < STEPS_OF_QUALITY["medium"] < STEPS_OF_QUALITY["high"]


@pytest.mark.parametrize(
    ("sent", "warned"),
    [
        ({"steps": 5, "quality": "high"}, "quality"),
        ({"partial_images": 1}, "partial_images"),
        ({"stream": True, "response_format": "url"}, "response_format"),
        ({"user": "a", "safety_identifier": "b"}, "user"),
    ],
)
def test_a_field_that_another_one_overrides_has_a_warning(
    sent: dict[str, Any], warned: str
) -> None:
    assert [warning.partition(":")[0] for warning in translated(**sent).warnings] == [warned]


def test_the_images_of_an_edit_beyond_the_first_have_a_warning() -> None:
    job = translated("img2img", image=[picture(64, 64), picture(128, 64)], strength=0.4)
    assert job.warnings == ("image: only the first of 2 is edited; the others are not used",)
    assert job.body["init_img"] == picture(64, 64)
    assert job.body["denoising_strength"] == 0.4

    hinted = translated("img2img", markup=picture(), input_fidelity="high", strength=0.4)
    assert [each.partition(":")[0] for each in hinted.warnings] == ["input_fidelity", "markup"]


@pytest.mark.parametrize(
    ("model", "size", "generated", "brought_to"),
    [
        ("tiny", None, (256, 256), None),
        ("photos/realistic", "auto", (512, 512), None),
        ("tiny", "256x320", (256, 320), None),
        ("tiny", "1024x1024", (256, 256), (1024, 1024)),
        ("photos/realistic", "1536x1024", (512, 344), (1536, 1024)),
        ("tiny", "64x64", (256, 256), (64, 64)),
    ],
)
def test_a_size_that_the_model_is_not_made_for_is_generated_well_and_resized(
    model: str, size: str | None, generated: tuple[int, int], brought_to: tuple[int, int] | None
) -> None:
    job = translated(model=model, size=size)

    assert (job.body["W"], job.body["H"]) == generated
    output = job.body.get("output_width"), job.body.get("output_height")
    assert output == (brought_to or (None, None))
    assert [warning.startswith("size: ") for warning in job.warnings] == [True] * bool(brought_to)


@pytest.mark.parametrize(
    ("image", "generated"),
    [((256, 256), (256, 256)), ((1200, 600), (360, 184)), ((90, 30), (440, 144))],
)
def test_an_edit_without_a_size_has_the_aspect_of_its_image(
    image: tuple[int, int], generated: tuple[int, int]
) -> None:
    job = translated("img2img", image=picture(*image), size="auto")

    assert (job.body["W"], job.body["H"]) == generated
    assert "output_width" not in job.body
    assert not job.warnings


def test_an_edit_of_a_photograph_on_its_side_has_its_upright_aspect() -> None:
    data, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (200, 400)).save(data, "JPEG", exif=exif)

    job = translated("img2img", image=base64.b64encode(data.getvalue()).decode())

    assert job.body["W"] > job.body["H"]


@pytest.mark.parametrize("model", [None, "", "default", "tiny", "tiny.ckpt", "Tiny"])
def test_an_installed_model_has_no_warning(model: str | None) -> None:
    job = translated(model=model)

    assert job.body["ckpt"].lower() in ("default", "tiny", "tiny.ckpt")
    assert not job.warnings


@pytest.mark.parametrize(
    "model", ["dall-e-2", "dall-e-3", "gpt-image-1", "chatgpt-image-latest", "my favourite", "o/x"]
)
def test_a_name_of_openai_s_or_any_text_means_the_default_model(model: str) -> None:
    job = translated(model=model)

    assert job.body["ckpt"] == "default"
    (warning,) = job.warnings
    assert warning.startswith(f"model: {model!r} is ")
    assert "the default model tiny" in warning


@pytest.mark.parametrize(
    "model",
    [
        *("sd15", "stable-diffusion-v1-5", "runwayml/stable-diffusion-v1-5"),
        *("dreams.safetensors", "photos/realistik", "dreams [6ce0161689]"),
    ],
)
def test_a_name_that_looks_like_a_model_which_is_not_installed_is_refused(model: str) -> None:
    assert faults(model=model) == {"model": "one of: tiny, photos/realistic"}


def test_any_model_is_passed_on_while_no_worker_has_announced_itself() -> None:
    nobody = Translator(
        served=Served(types=(), models=(), alive=False), default_model="tiny", limits=Limits()
    )
    assert nobody.translate("txt2img", {"prompt": "a", "model": "sd15"}).body["ckpt"] == "sd15"


def test_every_fault_is_found_and_has_the_name_that_the_client_used() -> None:
    found = faults(
        prompt=["a"],
        n=0,
        size="9x9",
        model="sd15",
        output_format="avif",
        sampler="eulr a",
        wdith=3,
        num_inference_steps=3,
        cfg_scale=3,
        ddim_steps=3,
        image_size=3,
        synchronous_request=True,
        strength=0.5,
        seed=-7,
        quality="best",
        user=7,
    )

    assert found.keys() == {
        *("prompt", "n", "size", "model", "output_format", "sampler", "wdith", "cfg_scale"),
        *("num_inference_steps", "ddim_steps", "image_size", "synchronous_request", "strength"),
        *("seed", "quality", "user"),
    }
    assert found["output_format"] == "one of: png, jpeg, webp"
    assert "768x512" in found["size"]
    assert found["sampler"].startswith("did you mean Euler a? ")
    assert found["cfg_scale"] == "did you mean guidance_scale?"
    assert found["num_inference_steps"] == "did you mean steps?"
    assert found["ddim_steps"] == "the field left out, or steps"
    assert found["strength"] == "the field left out, or a POST to /v1/images/edits"


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"n": 65}, "n"),
        ({"n": 20, "steps": 1000}, "steps"),
        ({"n": 60, "quality": "max", "size": "auto", "model": "photos/realistic"}, "quality"),
        ({"prompt": "a <lora:x:y>"}, "prompt"),
        ({"prompt": None}, "prompt"),
    ],
)
def test_faults_of_fields_together_have_the_names_of_this_dialect(
    sent: dict[str, Any], field: str
) -> None:
    found = faults(**{"sampler": "none", **sent})

    assert found.keys() == {"sampler", field}
    assert not {"n_iter", "ddim_steps"} & set(found[field].replace("·", " ").split())


@pytest.mark.parametrize(
    ("image", "field"),
    [
        (None, "image"),
        ("no base64!", "image"),
        ([{"image_url": "https://example.org/cat.png"}], "image.image_url"),
        ([{"file_id": "file-1"}], "image.file_id"),
        (7, "image"),
        ([picture()] * 17, "image"),
    ],
)
def test_an_edit_needs_an_image_that_can_be_read(image: Any, field: str) -> None:
    assert faults("img2img", image=image, n=0).keys() == {field, "n"}


@pytest.mark.parametrize(("invert", "inverted"), [({}, True), ({"mask_invert": True}, False)])
def test_what_is_transparent_in_a_mask_is_generated_anew(
    invert: dict[str, bool], inverted: bool
) -> None:
    """A mask of the service with transparency is generated anew where it is opaque."""
    mask = encoded(Image.new("LA", (64, 64)))

    assert mask_fields(Picture("mask", mask), invert) == {"mask": mask, "mask_invert": inverted}


def test_a_mask_without_transparency_is_refused() -> None:
    found = faults("img2img", mask={"image_url": picture()})

    assert found.keys() == {"mask.image_url"}
    assert "transparent" in found["mask.image_url"]


def test_openai_s_own_types_are_all_known_here() -> None:
    """The parameters of the installed SDK, each of which has a field."""
    of_kinds: dict[JobKind, Any] = {
        "txt2img": image_generate_params.ImageGenerateParamsBase,
        "img2img": image_edit_params.ImageEditParamsBase,
    }
    for kind, params in of_kinds.items():
        wanted = params.__annotations__.keys() - {"image", "mask", "markup"}
        assert wanted <= OPTIONS[kind].model_fields.keys()


@pytest.mark.parametrize(
    ("sent", "quality", "warns"),
    [
        ({"output_format": "jpeg", "output_compression": 40}, 40, False),
        ({"output_format": "jpeg", "output_compression": 0}, 1, False),
        ({"output_format": "jpeg"}, None, False),
        ({"output_format": "webp", "output_compression": 40}, 40, False),
        ({"output_compression": 100}, None, False),  # OpenAI's default
        ({"output_compression": 40}, None, True),
    ],
)
def test_the_compression_is_the_quality_of_a_lossy_format(
    sent: dict[str, Any], quality: int | None, *, warns: bool
) -> None:
    result = translated(**sent)

    assert result.body.get("jpeg_quality") == quality
    assert any(each.startswith("output_compression:") for each in result.warnings) == warns


def test_an_object_in_a_form_keeps_its_capital_letters() -> None:
    vary = '{"prompt": ["A Cat", "a DOG"], "W": [64, 128]}'

    body = typed({"vary": [vary], "tiling": ["True"]}, OPTIONS["img2img"])

    assert body == {"vary": {"prompt": ["A Cat", "a DOG"], "W": [64, 128]}, "tiling": True}
