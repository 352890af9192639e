"""AUTOMATIC1111's names of samplers and schedulers."""

import pytest

from api.dialects.a1111.sampler_names import (
    SCHEDULERS,
    SUBSTITUTES,
    Sampling,
    sampling_of,
    scheduler_named,
)
from jobs.names import SAMPLERS, sampler_named

KNOWN = {row.key for row in SCHEDULERS}


@pytest.mark.parametrize(
    ("label", "pair"),
    [
        ("DPM++ 2M Karras", ("DPM++ 2M", "Karras")),
        ("LMS Karras", ("LMS", "karras")),
        ("DPM++ 2M SDE Exponential", ("DPM++ 2M SDE", "Exponential")),
        ("Euler SGMUniform", ("Euler", "SGM Uniform")),
        ("Euler DDIM", ("Euler", "ddim")),
    ],
)
def test_an_old_label_means_the_same_as_its_pair(label: str, pair: tuple[str, str]) -> None:
    for scheduler in ("automatic", "Automatic", None):
        assert sampling_of(label, scheduler, KNOWN) == sampling_of(*pair, KNOWN) is not None


def test_without_the_native_scheduler_karras_is_still_karras() -> None:
    assert sampling_of("DPM++ 2M", "Karras", None) == Sampling("k_dpmpp_2m_ka")
    assert sampling_of("DPM++ 2M Karras", None, None) == Sampling("k_dpmpp_2m_ka")


def test_automatic_is_what_it_is_in_automatic1111() -> None:
    assert sampling_of("DPM++ 2M", "automatic", KNOWN) == Sampling("k_dpmpp_2m", "karras")
    assert sampling_of("DPM++ 2M", "Automatic", None) == Sampling("k_dpmpp_2m_ka")
    assert sampling_of("Euler a", "automatic", KNOWN) == Sampling("k_euler_a")


@pytest.mark.parametrize("row", SAMPLERS, ids=lambda row: row.key)
def test_every_sampler_is_found_by_key_and_label(row: object) -> None:
    for name in (row.key, row.label):  # pyright: ignore[reportAttributeAccessIssue]
        found = sampling_of(name, "automatic", KNOWN)
        assert found is not None
        assert not found.warnings


@pytest.mark.parametrize(
    ("sampler", "scheduler", "known", "told"),
    [
        ("Euler", "no such", KNOWN, "there is no 'no such'; Automatic was used"),
        ("Euler", "Beta", None, "'Beta' is not available; Automatic was used"),
        ("DDIM", "Karras", KNOWN, "DDIM has none"),
    ],
)
def test_what_is_not_available_is_told(
    sampler: str, scheduler: str | None, known: set[str] | None, told: str
) -> None:
    found = sampling_of(sampler, scheduler, known)

    assert found is not None
    assert told in " ".join(found.warnings)


@pytest.mark.parametrize(("name", "instead"), SUBSTITUTES.items())
def test_a_sampler_of_automatic1111_is_there_or_another_is_used(name: str, instead: str) -> None:
    found = sampling_of(name, None, KNOWN)

    assert found is not None
    if own := sampler_named(name):
        assert (found.sampler, found.warnings) == (own.key, ())
    else:
        assert found.warnings == (f"sampler_name: {name} is not available; {instead} was used",)


def test_an_unknown_sampler_is_none() -> None:
    assert sampling_of("Eulr", None, KNOWN) is None


def test_a_scheduler_is_found_by_name_label_and_alias() -> None:
    for row in SCHEDULERS:
        for spelling in (row.name, row.label, row.label.upper(), *row.aliases):
            found = scheduler_named(spelling)
            assert found is not None
            assert found.key == row.key


def test_a_warning_does_not_repeat_a_long_name() -> None:
    found = sampling_of("Euler", "x" * 5000, KNOWN)

    assert found is not None
    assert len("".join(found.warnings)) < 200
