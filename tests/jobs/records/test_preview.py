"""Previews in Redis: who may show one, who sees it, and when it goes."""

from collections.abc import Callable

import pytest
from redis import Redis

from jobs import keys
from jobs.records.claim import Claim, ClaimStatus
from jobs.records.claims import PREVIEW_TTL_SECONDS, Claims
from jobs.records.record import JobRecords
from jobs.status import Failure, JobState, Preview, Result
from tests.jobs.conftest import Open
from tests.jobs.leases import lapse

BLURRED = Preview(step=1, steps=20, image=1, width=8, height=8, jpeg="AAAA")
SHARPER = Preview(step=9, steps=20, image=1, width=8, height=8, jpeg="BBBB")


@pytest.fixture
def claim(claims: Claims, open_job: Open) -> Claim:
    open_job()
    claim = claims.claim("standard", "worker")
    assert claim
    return claim


def test_the_latest_preview_is_seen_with_the_status_by_whoever_has_not_seen_it(
    claims: Claims, records: JobRecords, claim: Claim
) -> None:
    job_id = claim.job_id
    assert records.snapshots({job_id: 0})[job_id].preview is None
    assert claims.preview(claim, BLURRED) is ClaimStatus.HELD
    assert claims.preview(claim, SHARPER) is ClaimStatus.HELD

    seen = records.snapshots({job_id: 0})[job_id]

    assert (seen.previews, seen.preview) == (2, SHARPER)
    assert seen.status == records.get(job_id)
    again = records.snapshots({job_id: seen.previews})[job_id]
    assert (again.previews, again.preview, again.status) == (2, None, seen.status)


def test_snapshots_of_many_jobs_omit_those_without_a_record(
    claims: Claims, records: JobRecords, claim: Claim, open_job: Open, redis: Redis
) -> None:
    claims.preview(claim, BLURRED)
    waiting, lapsed, expired = open_job(), open_job(), open_job()
    redis.delete(keys.job(lapsed), keys.job(expired))
    redis.set(keys.tombstone(expired), "")

    jobs = [lapsed, waiting, expired, claim.job_id, "nobody"]
    seen = records.snapshots(dict.fromkeys(jobs, 0))

    assert list(seen) == [waiting, claim.job_id]
    assert seen[waiting].status.queue_position == 1
    assert (seen[waiting].previews, seen[waiting].preview) == (0, None)
    assert seen[claim.job_id].preview == BLURRED
    assert records.snapshots({}) == {}


def test_a_preview_does_not_stay_for_ever(claims: Claims, claim: Claim, redis: Redis) -> None:
    claims.preview(claim, BLURRED)
    assert 0 < redis.ttl(keys.preview(claim.job_id)) <= PREVIEW_TTL_SECONDS


Ending = Callable[[Claims, Claim, JobRecords, Result], object]


def reaped(claims: Claims, claim: Claim, records: JobRecords) -> None:
    lapse(records._redis, claim.job_id)
    assert len(claims.reap()) == 1


@pytest.mark.parametrize(
    ("ending", "state"),
    [
        (lambda claims, claim, _, result: claims.finish(claim, result), JobState.SUCCESS),
        (
            lambda claims, claim, *_: claims.fail(claim, Failure(code="x", message="x")),
            JobState.FAILURE,
        ),
        (lambda claims, claim, *_: claims.cancelled(claim), JobState.CANCELLED),
        (lambda claims, claim, *_: claims.hand_back(claim), JobState.PENDING),
        (lambda claims, claim, records, _: reaped(claims, claim, records), JobState.PENDING),
    ],
    ids=["finished", "failed", "cancelled", "handed back", "reaped"],
)
def test_a_preview_goes_with_the_claim_and_does_not_come_back(
    claims: Claims,
    records: JobRecords,
    claim: Claim,
    result: Result,
    redis: Redis,
    ending: Ending,
    state: JobState,
) -> None:
    claims.preview(claim, BLURRED)
    ending(claims, claim, records, result)
    assert records.get(claim.job_id).state is state
    assert not redis.exists(keys.preview(claim.job_id))

    assert claims.preview(claim, SHARPER) is ClaimStatus.LOST

    assert not redis.exists(keys.preview(claim.job_id))
    assert records.snapshots({claim.job_id: 0})[claim.job_id].preview is None


def test_previews_are_counted_over_all_attempts_so_that_none_is_taken_for_an_old_one(
    claims: Claims, records: JobRecords, claim: Claim
) -> None:
    claims.preview(claim, BLURRED)
    claims.hand_back(claim)
    again = claims.claim("standard", "another")
    assert again
    assert claims.preview(claim, SHARPER) is ClaimStatus.LOST
    assert claims.preview(again, BLURRED) is ClaimStatus.HELD
    seen = records.snapshots({claim.job_id: 1})[claim.job_id]
    assert (seen.previews, seen.preview) == (2, BLURRED)


def test_a_worker_that_shows_a_preview_hears_that_its_job_shall_stop(
    claims: Claims, records: JobRecords, claim: Claim
) -> None:
    records.cancel(claim.job_id)
    assert claims.preview(claim, BLURRED) is ClaimStatus.CANCEL
