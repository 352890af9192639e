from pathlib import Path

import pytest
from pydantic import ValidationError

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


def test_a_cpu_worker_has_a_slot_a_core_and_a_gpu_worker_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cores, "available_cores", lambda: 3)
    assert 1 <= WorkerSettings(device="cpu").slots <= 3
    assert WorkerSettings(device="cuda:1").slots == 1
    assert WorkerSettings(device="cpu", concurrency=7).slots == 7


@pytest.mark.parametrize(("core_count", "slots", "threads"), [(2, 2, 1), (8, 2, 4), (2, 5, 1)])
def test_all_slots_together_fill_the_cores(
    monkeypatch: pytest.MonkeyPatch, core_count: int, slots: int, threads: int
) -> None:
    monkeypatch.setattr(cores, "available_cores", lambda: core_count)
    assert cores.threads_a_slot(slots) == threads


def test_a_worker_renews_its_leases_well_before_they_run_out() -> None:
    settings = WorkerSettings()
    assert settings.renew_seconds * 5 < settings.lease_seconds
    # a vanished worker's job is taken over within 15 s
    assert settings.lease_seconds + settings.reap_seconds < 15
