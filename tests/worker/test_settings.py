import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from jobs.environment import read_settings
from worker import cores
from worker.settings import WorkerSettings


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def test_types_are_a_list_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOB_TYPES", "optimized, standard")
    assert WorkerSettings().job_types == ("optimized", "standard")


@pytest.mark.parametrize("types", ["gpu", ",", "standard,gpu"])
def test_an_unknown_type_is_refused(monkeypatch: pytest.MonkeyPatch, types: str) -> None:
    monkeypatch.setenv("JOB_TYPES", types)
    with pytest.raises(ValidationError):
        WorkerSettings()


def test_a_cpu_worker_has_a_slot_per_core_and_a_gpu_worker_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cores, "available_cores", lambda: 3)
    assert 1 <= WorkerSettings(device="cpu").slots <= 3
    assert WorkerSettings(device="cuda:1").slots == 1
    assert WorkerSettings(device="cpu", concurrency=7).slots == 7


@pytest.mark.parametrize(("core_count", "slots", "threads"), [(2, 2, 1), (8, 2, 4), (2, 5, 1)])
def test_all_slots_together_use_all_cores(
    monkeypatch: pytest.MonkeyPatch, core_count: int, slots: int, threads: int
) -> None:
    monkeypatch.setattr(cores, "available_cores", lambda: core_count)
    assert cores.threads_per_slot(slots) == threads


def test_leases_are_renewed_well_before_they_expire() -> None:
    settings = WorkerSettings()
    assert settings.renew_seconds * 5 < settings.lease_seconds
    # another worker takes over the job of a dead one within 15 s
    assert settings.lease_seconds + settings.reap_seconds < 15


@pytest.mark.parametrize("name", ["RENEW_SECONDS", "REAP_SECONDS"])
def test_intervals_that_a_lease_does_not_outlast_are_refused(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("LEASE_SECONDS", "4")
    monkeypatch.setenv(name, "1.9")
    WorkerSettings()
    monkeypatch.setenv(name, "2")
    with pytest.raises(ValidationError, match=f"{name} is 2: must be below half of LEASE_SECONDS"):
        WorkerSettings()


def test_pauses_are_a_list_that_grows_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = WorkerSettings().postpone_seconds
    assert list(pauses) == sorted(pauses)
    assert sum(pauses) < WorkerSettings().postpone_window
    monkeypatch.setenv("POSTPONE_SECONDS", "1, 2.5")
    assert WorkerSettings().postpone_seconds == (1, 2.5)
    monkeypatch.setenv("POSTPONE_SECONDS", "1,-1")
    with pytest.raises(ValidationError):
        WorkerSettings()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (
            {"shutdown_grace_seconds": 300},
            "SHUTDOWN_GRACE_SECONDS=300 must be less than SHUTDOWN_SECONDS=25",
        ),
        ({"shutdown_seconds": 2}, "SHUTDOWN_GRACE_SECONDS=2 must be less than SHUTDOWN_SECONDS=2"),
        ({"deadline_seconds": 60}, "PROGRESS_SECONDS=300 must be less than DEADLINE_SECONDS=60"),
    ],
)
def test_settings_that_contradict_each_other_are_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, int], told: str
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name.upper(), str(value))
    with pytest.raises(SystemExit, match=f"^error: wrong settings: {re.escape(told)}"):
        read_settings(WorkerSettings)
