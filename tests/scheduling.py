"""Distributes the tests over the processes of pytest-xdist, and orders them."""

import os

import pytest
from xdist.scheduler import LoadScopeScheduling

GROUPS = {
    "tests/browser/": "browser",
    "tests/docs/test_commands.py": "service",
    "tests/api/test_service.py": "service",
    "tests/api/test_events.py": "service",
    "tests/api/a1111/test_clients.py": "service",
    "tests/api/a1111/test_masked_clients.py": "service",
    "tests/api/test_openai_sdk.py": "service",
    "tests/api/test_npm_clients.py": "service",
    "tests/client/": "small_service",
    "tests/faults/": "faults",
}
"""Files and folders that run in one process.

Most share a server which takes long to start: if tests elsewhere use it too, their process starts
one more. Those of `faults` wait for most of their time. Spread over all processes they would leave
the cores idle; one after the other they wait while others compute.
"""
LONGEST = (
    "service",
    "faults",
    "tests/stable_diffusion/test_generate.py",
    "browser",
    "small_service",
    "tests/stable_diffusion/samplers/test_sampling.py",
    "tests/training/test_train.py",
    "tests/launcher/test_up.py",
    "tests/training/test_shipped_model.py",
    "tests/worker/test_process.py",
    "tests/stable_diffusion/samplers/test_against_diffusers.py",
)
"""The groups that take longest. They start first: waiting and computing groups alternate."""


def group_of(nodeid: str) -> str:
    """The group of a test: one of `GROUPS`, or its file, whose tests share fixtures."""
    file = nodeid.partition("::")[0]
    found = (group for start, group in GROUPS.items() if file.startswith(start))
    return next(found, file)


def longest_first(items: list[pytest.Item]) -> None:
    """Sort tests by their groups, each group in its order."""
    ranks = {group: rank for rank, group in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(group_of(item.nodeid), len(ranks)))


class GroupScheduling(LoadScopeScheduling):
    """Gives each process a whole group at a time. Runs in the controller process.

    `--dist loadgroup` cannot be used: pytest-xdist 3.8 marks groups in an attribute that pytest 9.2
    no longer has, and then silently splits the groups.
    """

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def side_by_side() -> bool:
    """Whether this is a worker process of pytest-xdist."""
    return "PYTEST_XDIST_WORKER" in os.environ
