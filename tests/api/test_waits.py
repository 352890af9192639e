"""Waiting for a job: through an outage of Redis, and what becomes of the job afterwards."""

import threading

import pytest

from api.backends import Backends
from api.job_service import JobService
from api.settings import ApiSettings
from jobs.errors import RecordsUnavailable
from jobs.records.record import JobRecords
from jobs.status import JobStatus
from tests.api.conftest import HandWorker

BODY = {"prompt": "a cat", "W": 64, "H": 64}


@pytest.fixture
def backends(settings: ApiSettings) -> Backends:
    return Backends.from_settings(settings)


def test_a_wait_outlasts_an_outage_of_redis(
    backends: Backends, settings: ApiSettings, worker: HandWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = JobRecords.get
    failures = iter([RecordsUnavailable("frozen")] * 3)

    def get(records: JobRecords, job_id: str) -> JobStatus:
        if failure := next(failures, None):
            raise failure
        return read(records, job_id)

    monkeypatch.setattr(JobRecords, "get", get)
    drawing = threading.Thread(target=worker.draw)
    drawing.start()

    result = JobService(backends, settings).submit_and_wait("txt2img", BODY, submitter="anna")

    drawing.join()
    assert result.reason == "ended"
    assert next(failures, None) is None


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize(
    ("changed", "gone", "reason"),
    [
        ({"sync_timeout": 0.05}, False, "unfinished"),
        ({"api_threads": 1}, False, "no_slot"),
        ({}, True, "abandoned"),
    ],
)
def test_a_job_that_nobody_can_ask_for_ends_with_the_wait(
    backends: Backends,
    settings: ApiSettings,
    worker: HandWorker,
    *,
    changed: dict[str, float],
    gone: bool,
    reason: str,
    keep: bool,
) -> None:
    jobs = JobService(backends, settings.model_copy(update=changed))

    result = jobs.submit_and_wait(
        "txt2img", BODY, submitter="anna", keep=keep, abandoned=lambda: gone
    )

    assert (result.reason, result.status) == (reason, None)
    assert worker.queued() == (1 if keep else 0)
