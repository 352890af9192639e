"""How long records and pictures live, and that nothing outlives its job in the store."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from fsspec.implementations.local import LocalFileSystem
from redis import Redis

from jobs import keys
from jobs.errors import JobAlreadyFinal, JobExpired, NoSuchJob, StoreError
from jobs.pictures.store import PictureStore
from jobs.records.claim import Claim, ClaimStatus
from jobs.records.claims import Claims
from jobs.records.expiry import Expiry, Retention
from jobs.records.file_cleanup import FileCleanup
from jobs.records.new_job import NewJob, new_job_id
from jobs.records.record import JobRecords
from jobs.status import Failure, JobState, Result
from jobs.validation.request import parse_request
from tests.jobs.leases import lapse

Draw = Callable[..., str]
DAY = 86_400


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    return tmp_path / "outputs"


@pytest.fixture
def store(outputs: Path) -> PictureStore:
    return PictureStore(str(outputs))


@pytest.fixture
def file_cleanup(redis: Redis, store: PictureStore) -> FileCleanup:
    return FileCleanup(redis, store)


def files(outputs: Path) -> list[str]:
    found = (path for path in outputs.rglob("*") if path.is_file())
    return sorted(str(path.relative_to(outputs)) for path in found)


def submitted(records: JobRecords, submitter: str = "anna") -> str:
    request = parse_request("txt2img", {"prompt": "a", "type": "standard"})
    request = request.settled(model="tiny", seed=1)
    job = NewJob(job_id=new_job_id(), request=request, model="tiny", submitter=submitter)
    return records.open(job).job_id


def claimed(claims: Claims) -> Claim:
    claim = claims.claim("standard", "worker")
    assert claim
    return claim


def published(
    claims: Claims, store: PictureStore, claim: Claim, size: int = 10, outdir: str = "cats"
) -> tuple[str, ...]:
    with store.staging(claim.job_id, outdir, claim.token) as staging:
        staging.put(0, b"x" * size, "png")
        saved = outdir != "transient"
        claims.publishing(claim, staging.names, size=staging.size, saved=saved)
        return staging.publish()


@pytest.fixture
def draw(records: JobRecords, claims: Claims, store: PictureStore, result: Result) -> Draw:
    """A finished job with one picture of `size` bytes; its init image has been left behind."""

    def draw(size: int = 10, outdir: str = "cats") -> str:
        job_id = submitted(records)
        store.put_input(job_id, "init", b"init")
        claim = claimed(claims)
        published(claims, store, claim, size, outdir)
        assert claims.finish(claim, result) is ClaimStatus.HELD
        return job_id

    return draw


def aged(redis: Redis, job_id: str, seconds: float) -> None:
    """Let a job have finished longer ago."""
    for kept in (keys.PICTURES + keys.SAVED, keys.PICTURES + keys.TRANSIENT):
        if redis.zscore(kept, job_id) is not None:
            redis.zincrby(kept, -seconds, job_id)


def test_a_record_that_has_expired_is_not_unknown(
    draw: Draw, records: JobRecords, redis: Redis
) -> None:
    job_id = draw()
    redis.delete(keys.job(job_id))  # as Redis does when its time is up
    with pytest.raises(JobExpired):
        records.get(job_id)
    with pytest.raises(JobExpired):
        records.cancel(job_id, by="anna")
    with pytest.raises(NoSuchJob):
        records.cancel(job_id, by="bert")
    assert redis.ttl(keys.tombstone(job_id)) == 600 + 7 * DAY
    redis.delete(keys.tombstone(job_id))
    with pytest.raises(NoSuchJob):
        records.get(job_id)


def test_pictures_whose_time_is_up_go_with_their_record(
    draw: Draw, records: JobRecords, redis: Redis, file_cleanup: FileCleanup, outputs: Path
) -> None:
    old, young = draw(), draw()
    fetched = draw(outdir="transient")
    aged(redis, old, 2 * DAY)
    aged(redis, fetched, DAY / 2)
    expiry = Expiry(redis, Retention(transient_seconds=DAY // 4, saved_seconds=DAY))
    assert set(expiry.expire()) == {old, fetched}
    file_cleanup.clean_all()
    assert files(outputs) == [f"cats/{young}_0.png"]
    assert records.recent() == (young,)
    with pytest.raises(JobExpired):
        records.get(old)
    assert expiry.expire() == ()


def test_saved_pictures_may_be_kept_for_ever(draw: Draw, redis: Redis) -> None:
    aged(redis, draw(), 1000 * DAY)
    assert Expiry(redis, Retention(transient_seconds=1)).expire() == ()


def test_of_too_many_bytes_the_oldest_go_first(
    draw: Draw, redis: Redis, file_cleanup: FileCleanup, outputs: Path
) -> None:
    first, second, third = draw(100), draw(50), draw(100)
    for age, job_id in enumerate((third, second, first)):
        aged(redis, job_id, age)
    within = Expiry(redis, Retention(transient_seconds=DAY, max_bytes=160))
    assert within.expire() == (first,)
    file_cleanup.clean_all()
    assert files(outputs) == sorted([f"cats/{second}_0.png", f"cats/{third}_0.png"])
    assert redis.get(keys.PICTURE_BYTES_TOTAL) == "150"
    assert within.expire() == ()


def test_a_finished_job_can_be_deleted_once_by_its_submitter(
    draw: Draw, records: JobRecords, redis: Redis, file_cleanup: FileCleanup, outputs: Path
) -> None:
    job_id = draw()
    with pytest.raises(NoSuchJob):
        records.delete(job_id, by="bert")
    assert records.delete(job_id, by="anna") is JobState.SUCCESS
    assert file_cleanup.clean(job_id)
    assert files(outputs) == []
    assert redis.get(keys.PICTURE_BYTES_TOTAL) == "0"
    assert records.recent() == ()
    with pytest.raises(JobExpired):
        records.delete(job_id, by="anna")


def test_deleting_a_waiting_job_cancels_it_and_a_failed_one_stays_as_it_is(
    records: JobRecords, claims: Claims
) -> None:
    waiting = submitted(records)
    assert records.delete(waiting, by="anna") is JobState.CANCELLED
    failed = submitted(records)
    claims.fail(claimed(claims), Failure(code="x", message="x"))
    with pytest.raises(JobAlreadyFinal):
        records.delete(failed, by="anna")
    assert records.get(failed).state is JobState.FAILURE


def test_what_a_job_leaves_behind_is_known_whoever_dies(
    draw: Draw, file_cleanup: FileCleanup, outputs: Path
) -> None:
    job_id = draw()
    assert files(outputs) == [f"cats/{job_id}_0.png", f"inputs/{job_id}.init.png"]
    assert file_cleanup.clean_all() == 1  # the process that finished it died before it could
    assert files(outputs) == [f"cats/{job_id}_0.png"]
    assert file_cleanup.clean_all() == 0


def test_pictures_published_before_a_cancellation_are_deleted(
    records: JobRecords,
    claims: Claims,
    store: PictureStore,
    file_cleanup: FileCleanup,
    outputs: Path,
) -> None:
    job_id = submitted(records)
    claim = claimed(claims)
    published(claims, store, claim)
    claims.hand_back(claim)
    records.cancel(job_id, by="anna")
    assert file_cleanup.clean(job_id)
    assert files(outputs) == []


def test_pictures_published_too_late_are_deleted_unless_the_job_has_them(
    records: JobRecords,
    claims: Claims,
    store: PictureStore,
    file_cleanup: FileCleanup,
    outputs: Path,
    redis: Redis,
    result: Result,
) -> None:
    submitted(records)
    late = claimed(claims)
    lapse(redis, late.job_id)
    claims.reap()
    names = published(claims, store, late)
    file_cleanup.delete_unpublished(late.job_id, names)
    assert files(outputs) == list(names)  # it waits: the next attempt writes the same files
    claim = claimed(claims)
    published(claims, store, claim)
    claims.finish(claim, result)
    file_cleanup.delete_unpublished(late.job_id, names)
    assert files(outputs) == list(names)

    cancelled = submitted(records)
    late = claimed(claims)
    records.cancel(cancelled)
    lapse(redis, cancelled)
    claims.reap()
    assert file_cleanup.clean(cancelled)
    file_cleanup.delete_unpublished(cancelled, published(claims, store, late))
    assert files(outputs) == list(names)


def test_files_of_no_job_are_deleted_once_they_have_been_seen_for_long(
    records: JobRecords, store: PictureStore, file_cleanup: FileCleanup, outputs: Path, redis: Redis
) -> None:
    waiting = submitted(records)
    store.put_input(waiting, "init", b"needed")
    store.put_input(new_job_id(), "init", b"its API died before the record was written")
    store.put(f".parts/{new_job_id()}.1.0", b"its worker was frozen until its record had expired")
    assert file_cleanup.delete_orphans(grace=60) == 0
    assert len(files(outputs)) == 3
    seen = cast(list[str], redis.zrange(keys.ORPHANS, 0, -1))
    redis.zadd(keys.ORPHANS, dict.fromkeys(seen, 0))
    assert file_cleanup.delete_orphans(grace=60) == 2
    assert files(outputs) == [f"inputs/{waiting}.init.png"]
    file_cleanup.delete_orphans(grace=60)
    assert redis.zcard(keys.ORPHANS) == 0


def test_the_store_is_listed_once_for_any_number_of_expired_pictures(
    draw: Draw,
    redis: Redis,
    store: PictureStore,
    file_cleanup: FileCleanup,
    outputs: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for job_id in [draw() for _ in range(50)]:
        aged(redis, job_id, 2 * DAY)
        store.put(f".parts/{job_id}.1.0", b"written late by a frozen worker")
    waiting = new_job_id()
    store.put_input(waiting, "init", b"needed")
    listed: list[str] = []
    ls = LocalFileSystem.ls

    def counting(self: LocalFileSystem, path: str, *args: Any, **kwargs: Any) -> Any:
        listed.append(path)
        return ls(self, path, *args, **kwargs)

    monkeypatch.setattr(LocalFileSystem, "ls", counting)
    expiry = Expiry(redis, Retention(transient_seconds=DAY, saved_seconds=DAY))
    assert len(expiry.expire()) == 50
    assert file_cleanup.clean_all() == 50
    assert files(outputs) == [f"inputs/{waiting}.init.png"]
    assert len(listed) == 2
    assert redis.hlen(keys.DELETIONS) == 0


def test_a_job_that_is_deleted_while_its_files_are_is_not_forgotten(
    draw: Draw,
    records: JobRecords,
    store: PictureStore,
    file_cleanup: FileCleanup,
    outputs: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job_id = draw()
    delete_inputs = store.delete_inputs

    def deleted_meanwhile(its_id: str) -> None:
        delete_inputs(its_id)
        records.delete(its_id)

    with monkeypatch.context() as patched:
        patched.setattr(store, "delete_inputs", deleted_meanwhile)
        assert file_cleanup.clean(job_id)
    assert file_cleanup.clean_all() == 1
    assert files(outputs) == []


def test_a_file_that_cannot_be_deleted_holds_up_its_own_job_only(
    draw: Draw,
    redis: Redis,
    store: PictureStore,
    file_cleanup: FileCleanup,
    outputs: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stuck, *others = [draw() for _ in range(5)]
    for job_id in (stuck, *others):
        aged(redis, job_id, 2 * DAY)
    delete = store.delete

    def failing(name: str) -> None:
        if name == f"cats/{stuck}_0.png":
            raise StoreError("busy")
        delete(name)

    Expiry(redis, Retention(transient_seconds=DAY, saved_seconds=DAY)).expire()
    with monkeypatch.context() as patched:
        patched.setattr(store, "delete", failing)
        assert file_cleanup.clean_all() == 4
    assert files(outputs) == [f"cats/{stuck}_0.png"]
    assert file_cleanup.clean_all() == 1
    assert files(outputs) == []
