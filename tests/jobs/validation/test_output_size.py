"""output_width and output_height: both or none, within bounds, and what they may cost."""

from pathlib import Path
from typing import Any

import pytest

from jobs.errors import Fault, InvalidRequest
from jobs.limits import Limits
from jobs.names import GenerationKind, JobKind
from jobs.parameters.output import output_warnings
from jobs.prompts.prompt_files import PromptFiles
from jobs.validation.request import parse_request
from tests.jobs.validation.test_request import picture


def faults(
    body: dict[str, Any], kind: GenerationKind = "txt2img", **options: Any
) -> tuple[Fault, ...]:
    with pytest.raises(InvalidRequest) as caught:
        parse_request(kind, {"prompt": "a", **body}, **options)
    return caught.value.faults


@pytest.mark.parametrize("kind", ["txt2img", "img2img"])
def test_any_size_within_the_bounds_is_taken(kind: GenerationKind) -> None:
    body = {"prompt": "a", "output_width": 4096, "output_height": 65.0, "n_iter": 1}
    body |= {"init_img": picture()} if kind == "img2img" else {}
    request = parse_request(kind, body)
    assert request.output_size == (4096, 65)
    assert request.stored()["output_height"] == 65


def test_without_them_there_is_no_output_size() -> None:
    assert parse_request("txt2img", {"prompt": "a"}).output_size is None
    nulls = {"prompt": "a", "output_width": None, "output_height": None}
    assert parse_request("txt2img", nulls).output_size is None


@pytest.mark.parametrize(
    ("given", "missing"),
    [("output_width", "output_height"), ("output_height", "output_width")],
)
def test_a_single_side_names_the_one_that_is_missing(given: str, missing: str) -> None:
    (fault,) = faults({given: 700})
    assert (fault.field, fault.code) == (missing, "missing")
    assert given in fault.problem
    assert "from 64 up to 4096" in fault.expected


@pytest.mark.parametrize("side", [63, 4097])
def test_a_side_out_of_bounds_names_the_bound(side: int) -> None:
    (fault,) = faults({"output_width": side, "output_height": 100})
    assert (fault.field, fault.code) == ("output_width", "range")
    assert "from 64 up to 4096" in fault.expected


def test_all_pictures_together_have_a_limit(tmp_path: Path) -> None:
    limits = Limits(max_output_pixels=4 * 100 * 200)
    size = {"output_width": 100, "output_height": 200}
    parse_request("txt2img", {"prompt": "a", "n_samples": 4, **size}, limits=limits)
    (fault,) = faults({"n_samples": 5, **size}, limits=limits)
    assert (fault.field, fault.code) == ("output_height", "too_expensive")
    assert "5 pictures of 100x200" in fault.problem
    assert "80000 pixels" in fault.expected

    (tmp_path / "two.txt").write_text("a cat\na dog\n")
    body = {"n_samples": 3, "from-file": "two.txt", **size}
    (fault,) = faults(body, limits=limits, prompt_files=PromptFiles(tmp_path))
    assert "6 pictures" in fault.problem


@pytest.mark.parametrize("kind", ["txt2img", "upscale"])
@pytest.mark.parametrize(
    ("sent", "warns"),
    [
        ({"jpeg_quality": 40}, True),
        ({"jpeg_quality": 40, "format": "jpg"}, False),
        ({"jpeg_quality": 40, "format": "webp"}, False),
        ({"jpeg_quality": 95}, False),
    ],
)
def test_a_quality_without_effect_has_a_warning(
    kind: JobKind, sent: dict[str, Any], *, warns: bool
) -> None:
    needed = {"init_img": picture()} if kind == "upscale" else {"prompt": "a"}
    assert bool(output_warnings(parse_request(kind, needed | sent))) == warns
