"""The groups of tests that go to the same process."""

from pathlib import Path

import pytest

from tests.scheduling import GROUPS, LONGEST, group_of, longest_first

ROOT = Path(__file__).parents[1]


def test_who_uses_a_shared_server_is_in_a_group(request: pytest.FixtureRequest) -> None:
    for item in request.session.items:
        if set(GROUPS.values()) & set(getattr(item, "fixturenames", ())):
            assert group_of(item.nodeid) in GROUPS.values()


def test_other_files_are_groups_of_their_own() -> None:
    assert (
        group_of("tests/jobs/records/test_claims.py::test_a[b::c]")
        == "tests/jobs/records/test_claims.py"
    )


def test_what_is_listed_is_there() -> None:
    files = {name for name in LONGEST if name not in GROUPS.values()}
    assert all((ROOT / name).exists() for name in files | GROUPS.keys())


def test_the_longest_groups_come_first_and_each_stays_in_its_order(
    request: pytest.FixtureRequest,
) -> None:
    items = [*reversed(request.session.items)]
    longest_first(items)
    groups = [group_of(item.nodeid) for item in items if group_of(item.nodeid) in LONGEST]
    assert groups == sorted(groups, key=LONGEST.index)
    assert [group_of(item.nodeid) for item in items[: len(groups)]] == groups
