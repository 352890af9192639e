"""Which tests go to the same process, and in which order, when files are run side by side."""

import os

import pytest
from xdist.scheduler import LoadScopeScheduling

SHARED_SERVERS = {
    "tests/browser/": "service",
    "tests/docs/test_commands.py": "service",
    "tests/api/test_service.py": "service",
    "tests/api/test_events.py": "service",
    "tests/client/": "small_service",
}
"""Files and folders that use a server which takes long to start, so that a run starts it once.

Tests elsewhere may use it, too: it is then started in their process as well.
"""
LONGEST = (
    "service",
    "tests/training/test_shipped_model.py",
    "tests/worker/test_process.py",
    "tests/stable_diffusion/test_generate.py",
    "tests/launcher/test_up.py",
    "tests/training/test_train.py",
    "small_service",
    "tests/stable_diffusion/samplers/test_sampling.py",
    "tests/faults/test_broker.py",
    "tests/stable_diffusion/samplers/test_against_diffusers.py",
)
"""The groups that take longest are begun first, those that wait and those that compute in turn."""


def group_of(nodeid: str) -> str:
    """The tests of a file go to one process, for they share fixtures."""
    file = nodeid.partition("::")[0]
    found = (group for start, group in SHARED_SERVERS.items() if file.startswith(start))
    return next(found, file)


def longest_first(items: list[pytest.Item]) -> None:
    """Sort tests by their groups, each group in its order."""
    ranks = {group: rank for rank, group in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(group_of(item.nodeid), len(ranks)))


class GroupScheduling(LoadScopeScheduling):
    """Gives a process a whole group at a time. Used in the process that collects nothing.

    `--dist loadgroup` would do, but pytest-xdist 3.8 marks groups in an attribute that pytest 9.2
    has no more, and then divides them without a word.
    """

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def side_by_side() -> bool:
    """Whether this is one of several processes that run the tests."""
    return "PYTEST_XDIST_WORKER" in os.environ
