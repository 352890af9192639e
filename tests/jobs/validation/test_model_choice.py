import base64
import io
from typing import Any

import pytest
from PIL import Image

from jobs.errors import InvalidRequest
from jobs.validation.model_choice import InstalledModels, ModelChoice
from jobs.validation.request import parse_request
from stable_diffusion.unet_kind import UNetKind

TEMPLATE = {"sd14": "model.ckpt", "sd21": "model2.ckpt", "sd15": "model15.ckpt"}


def choose(ckpt: str | dict[str, str], names: list[str]) -> ModelChoice:
    return InstalledModels(default="tiny", names=names).choose(ckpt)


def test_default_is_the_configured_model() -> None:
    assert choose("default", ["tiny", "sd15"]).name == "tiny"


def test_a_readme_spelling_finds_the_installed_model() -> None:
    assert choose("sd1.5", ["tiny", "sd15"]).name == "sd15"


def test_the_templates_object_takes_the_first_that_is_installed() -> None:
    choice = choose(TEMPLATE, ["tiny", "sd15", "sd21"])
    assert (choice.name, choice.warnings) == ("sd21", ())


def test_the_templates_object_finds_a_model_by_its_file() -> None:
    assert choose(TEMPLATE, ["tiny", "model15"]).name == "model15"


def test_the_templates_object_falls_back_to_the_default_and_says_so() -> None:
    choice = choose(TEMPLATE, ["tiny"])
    assert choice.name == "tiny"
    assert "sd14, sd21, sd15" in choice.warnings[0]


@pytest.mark.parametrize("ckpt", ["sd99", "../model.ckpt", "/x.ckpt", {"sd14": "../../x"}])
def test_what_is_not_installed_is_refused_with_what_is(ckpt: str | dict[str, str]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        choose(ckpt, ["tiny", "sd15"])
    (fault,) = caught.value.faults
    assert fault.code == "unknown_model"
    assert fault.expected == "one of: default, sd15, tiny"


def test_before_any_worker_has_announced_itself_a_name_is_accepted_but_no_path() -> None:
    assert choose("dreamy", []).name == "dreamy"
    with pytest.raises(InvalidRequest):
        choose("../dreamy", [])


@pytest.mark.parametrize(
    ("ckpt", "size"),
    [("default", 768), ("sd2.1v", 768), ("sd15", 512), ("dreamy", 512), ({"sd21v": "x"}, 768)],
)
def test_a_native_size_is_that_of_the_model_meant(ckpt: str | dict[str, str], size: int) -> None:
    models = InstalledModels(
        default="sd21v", names=["sd15", "sd21v"], native_sizes={"sd15": 512, "sd21v": 768}
    )
    assert models.native_size(ckpt) == size


HASH = "6ce0161689"


@pytest.mark.parametrize(
    ("ckpt", "name"),
    [
        (f"sd15 [{HASH}]", "sd15"),
        (f"sd1.5.ckpt [{HASH.upper()}]", "sd15"),
        (f"v1-5-pruned-emaonly.safetensors [{HASH}b3853acaa043166e727224f7]", "sd15"),
        ("sd15[6ce01616]", "sd15"),
        (f"ink [{HASH}]", "style/ink"),
        ("odd [abcdef]", "odd [abcdef]"),
    ],
)
def test_a_model_may_be_named_with_its_hash(ckpt: str, name: str) -> None:
    names = ["sd15", "style/ink", "odd [abcdef]"]
    models = InstalledModels(names=names, hashes=dict.fromkeys(names, HASH))
    assert models.choose(ckpt) == ModelChoice(name)


def test_a_wrong_hash_is_told_and_one_that_cannot_be_compared_is_said() -> None:
    models = InstalledModels(names=["sd15", "new"], hashes={"sd15": HASH, "new": ""})
    with pytest.raises(InvalidRequest) as caught:
        models.choose("sd15 [0123456789]")
    (fault,) = caught.value.faults
    assert (fault.field, fault.code) == ("ckpt", "wrong_model_hash")
    assert fault.expected == f"sd15 [{HASH}], or sd15 without a hash"
    assert "8 digits" in models.choose("sd15 [7460a6fa]").warnings[0]
    assert "not known here yet" in models.choose("new [0123456789]").warnings[0]
    with pytest.raises(InvalidRequest, match="no installed model"):
        models.choose(f"sd99 [{HASH}]")


def test_a_refiner_is_chosen_as_a_model_is() -> None:
    models = InstalledModels(default="tiny", names=("tiny", "sdxl-refiner"))

    def parsed(name: str) -> Any:
        body = {"prompt": "a", "seed": 1, "refiner": {"ckpt": name}}
        request = parse_request("txt2img", body, models=models)
        return request.settled(model="tiny", seed=1, refiners={name: models.name_of(name)}).refiner

    assert parsed("sdxl-refiner.safetensors") == {"ckpt": "sdxl-refiner", "switch_at": 0.8}
    with pytest.raises(InvalidRequest) as caught:
        parsed("sd99")
    (fault,) = caught.value.faults
    assert (fault.field, fault.code, fault.value) == ("refiner", "unknown_model", "sd99")
    assert "sdxl-refiner" in fault.expected


KINDS = {
    "sd15": UNetKind("sd1", "of sd"),
    "sd15-fill": UNetKind("sd1-inpaint", "of sd", "inpaint"),
    "pix2pix": UNetKind("sd1-instruct", "of sd", "instruct", needs_image=True),
    "sdxl": UNetKind("sdxl", "of xl"),
    "sdxl-refiner": UNetKind("sdxl-refiner", "of xl"),
}
NEWER = "newer"
"""A model of which nothing is known yet."""
_PIXELS = io.BytesIO()
Image.new("RGB", (64, 64)).save(_PIXELS, "PNG")
INIT_IMAGE = base64.b64encode(_PIXELS.getvalue()).decode()
ANNOUNCED = InstalledModels(
    default="sd15",
    names=(*KINDS, NEWER, "torn"),
    unets=KINDS,
    problems={"torn": "it is an autoencoder alone"},
)


@pytest.mark.parametrize(
    ("kind", "ckpt", "refiner", "problem", "fitting"),
    [
        ("txt2img", "sdxl", "sdxl-refiner", "", ""),
        ("txt2img", "sdxl", "sdxl", "", ""),
        ("txt2img", "sdxl", NEWER, "", ""),
        ("txt2img", NEWER, "sd15", "", ""),
        ("txt2img", "sd15-fill", "sd15-fill", "", ""),
        (
            "txt2img",
            "sdxl",
            "sd15",
            "is of the family sd1, which has other latents than the model 'sdxl' (sdxl)",
            "one of: sdxl, sdxl-refiner; or the field left out",
        ),
        (
            "txt2img",
            "default",
            "sdxl-refiner",
            "is of the family sdxl-refiner, which has other latents than the model 'sd15' (sd1)",
            "one of: sd15; or the field left out",
        ),
        (
            "img2img",
            "pix2pix",
            "sd15-fill",
            "is of the family sd1-inpaint, which takes further inputs that the model 'pix2pix' "
            "(sd1-instruct) does not have",
            "one of: pix2pix, sd15; or the field left out",
        ),
        (
            "txt2img",
            "sdxl",
            "torn",
            "cannot be used: it is an autoencoder alone",
            "one of: sdxl, sdxl-refiner; or the field left out",
        ),
    ],
)
def test_a_refiner_that_cannot_go_on_is_refused_with_those_that_can(
    kind: Any, ckpt: str, refiner: str, problem: str, fitting: str
) -> None:
    body: dict[str, Any] = {"prompt": "a", "ckpt": ckpt, "refiner": {"ckpt": refiner}}
    if kind == "img2img":
        body["init_img"] = INIT_IMAGE
    if not problem:
        assert parse_request(kind, body, models=ANNOUNCED).refiner_ckpt == refiner
        return
    with pytest.raises(InvalidRequest) as caught:
        parse_request(kind, body, models=ANNOUNCED)
    (fault,) = caught.value.faults
    assert (fault.field, fault.code, fault.value) == ("refiner", "refiner_mismatch", refiner)
    assert (fault.problem, fault.expected) == (problem, fitting)


def test_a_model_that_changes_an_image_is_refused_without_one() -> None:
    body = {"prompt": "make it snow", "ckpt": "pix2pix"}
    assert parse_request("img2img", {**body, "init_img": INIT_IMAGE}, models=ANNOUNCED)
    with pytest.raises(InvalidRequest) as caught:
        parse_request("txt2img", body, models=ANNOUNCED)
    (fault,) = caught.value.faults
    assert (fault.field, fault.code, fault.value) == ("ckpt", "needs_init_image", "pix2pix")
    assert fault.expected == "img2img with an init image, or another model"
