"""The request to enlarge a picture: what it takes, what it refuses, and its record."""

from typing import Any

import pytest
from redis import Redis

from jobs import keys
from jobs.errors import Fault, InvalidRequest
from jobs.limits import Limits
from jobs.names import JobType
from jobs.records.claims import Claims
from jobs.records.new_job import NewJob, new_job_id
from jobs.records.record import JobRecords
from jobs.validation.request import Upscale, parse_request
from jobs.validation.stored_request import read_stored
from tests.jobs.conftest import Open
from tests.jobs.validation.test_request import picture


def parsed(limits: Limits | None = None, **body: Any) -> Upscale:
    request = parse_request("upscale", {"init_img": picture(), **body}, limits=limits)
    assert isinstance(request, Upscale)
    return request


def faults(limits: Limits | None = None, **body: Any) -> tuple[Fault, ...]:
    with pytest.raises(InvalidRequest) as caught:
        parse_request("upscale", {"init_img": picture(), **body}, limits=limits)
    return caught.value.faults


def test_only_a_picture_is_needed_and_it_becomes_twice_as_large() -> None:
    assert parsed().size_from(24, 30) == (48, 60)
    assert [fault.field for fault in faults(init_img=None)] == ["init_img"]


@pytest.mark.parametrize("job_type", ["standard", "optimized"])
def test_every_type_takes_a_factor_or_a_size(job_type: JobType) -> None:
    assert parsed(type=job_type, upscale_by=1.5).size_from(24, 25) == (36, 38)
    assert parsed(type=job_type, output_width=64, output_height=99).size_from(24, 24) == (64, 99)


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"upscale_by": 1}, "upscale_by", "range"),
        ({"upscale_by": 8.5}, "upscale_by", "range"),
        ({"output_width": 64}, "output_height", "missing"),
        ({"output_width": 64, "output_height": 64, "upscale_by": 2}, "upscale_by", "two_sizes"),
        ({"upscaler": "bicubic"}, "upscaler", "enum"),
        ({"skip_save": True}, "skip_save", "nothing_to_return"),
        ({"prompt": "a cat"}, "prompt", "not_for_this_type"),
        ({"seed": 5}, "seed", "not_for_this_type"),
        ({"ckpt": "tiny"}, "ckpt", "not_for_this_type"),
        ({"H": 65}, "H", "not_for_this_type"),
        ({"colour": "red"}, "colour", "unknown_field"),
    ],
)
def test_what_is_wrong_is_named(body: dict[str, Any], field: str, code: str) -> None:
    (fault,) = faults(**body)
    assert (fault.field, fault.code) == (field, code)


def test_a_field_of_upscale_says_where_it_belongs() -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_request("txt2img", {"prompt": "a", "upscale_by": 2})
    (fault,) = caught.value.faults
    assert "/upscale" in fault.expected


def test_the_result_has_a_limit() -> None:
    limits = Limits(max_output_pixels=24 * 24 * 9)
    assert parsed(limits, upscale_by=3).size_from(24, 24) == (72, 72)
    (fault,) = faults(limits, upscale_by=3.5)
    assert (fault.field, fault.code) == ("upscale_by", "too_expensive")
    assert "84x84" in fault.problem
    assert "up to 3," in fault.expected
    long = picture((3000, 1))
    assert [fault.field for fault in faults(init_img=long, upscale_by=6)] == ["upscale_by"]


def test_a_stored_request_is_read_back() -> None:
    request = parsed(upscaler="lanczos", upscale_by=3)
    again = read_stored("upscale", request.stored(), ("init",))
    assert again.stored() == request.stored()
    assert again.inputs == {"init": b""}


def test_a_worker_of_an_earlier_version_leaves_it_to_others(
    redis: Redis,
    records: JobRecords,
    claims: Claims,
    open_job: Open,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = NewJob(job_id=new_job_id(), request=parsed(type="standard"), model="")
    records.open(job)
    older = open_job()
    redis.hset(keys.job(older), "version", 2)

    with monkeypatch.context() as before:
        before.setattr("jobs.records.claims.RECORD_VERSION", 2)
        claim = claims.claim("standard", "of version 2")
        assert claim
        assert claim.job_id == older
        assert claims.claim("standard", "of version 2") is None
    claim = claims.claim("standard", "of this version")
    assert claim
    assert (claim.job_id, claim.kind, claim.model) == (job.job_id, "upscale", "")
    assert claim.inputs == ("init",)
