"""Why jobs fail, and that the worker continues."""

import base64
from types import SimpleNamespace

import pytest

from jobs import keys
from jobs.errors import (
    InvalidRequest,
    NoSuchPicture,
    RecordsUnavailable,
    StoreError,
    StoreFull,
    UnsafeName,
)
from jobs.failures import FailureCode
from jobs.status import JobState
from stable_diffusion.errors import (
    EngineError,
    LoraMismatch,
    ModelNotFound,
    NumericalError,
    PromptError,
    RecipeError,
    UnknownSampler,
    UnreadableModel,
)
from tests.png_chunks import broken_pixels
from tests.worker.conftest import Bench
from tests.worker.small import GREEDY, INSATIABLE, LEAK, SmallEngine
from worker.errors import BadInputImage, UnknownEmbedding, UnknownLora, UnknownModel
from worker.execution.execute_job import LOW_MEMORY_WARNING, execute_job
from worker.execution.failures import failure_of, is_passing


@pytest.mark.parametrize(
    ("error", "code", "requests_fault"),
    [
        (LoraMismatch("no layer fits"), "lora_mismatch", True),
        (UnknownSampler("no such sampler"), "bad_request", True),
        (RecipeError("too many steps"), "bad_request", True),
        (InvalidRequest(()), "bad_request", True),
        (BadInputImage("damaged"), "bad_image", True),
        (NoSuchPicture("missing"), "bad_image", True),
        (UnknownModel("a", []), "unknown_model", True),
        (UnknownLora("a", []), "unknown_lora", True),
        (UnknownEmbedding("a", []), "unknown_embedding", True),
        (ModelNotFound("missing"), "unknown_model", True),
        (NumericalError("NaN"), "not_a_number", False),
        (EngineError("failed"), "engine_failed", False),
        (StoreFull("full"), "storage_full", False),
        (StoreError("read-only"), "storage_failed", False),
        (RecordsUnavailable("no answer"), "records_unavailable", False),
    ],
)
def test_every_exception_has_a_failure_code(
    error: Exception, code: str, requests_fault: bool
) -> None:
    failure = failure_of(error)
    assert (failure.code, failure.message) == (code, str(error))
    assert FailureCode(failure.code).requests_fault is requests_fault


pytestmark = pytest.mark.heavy


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PromptError("the weight 1.2.3 is no number", 5), "bad_prompt"),
        (UnreadableModel("small: not a checkpoint"), "model_unreadable"),
        (MemoryError(), "out_of_memory"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: tried 9 bytes"),
            "out_of_memory",
        ),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling x"), "out_of_memory"),
        (KeyError("/secret/path"), "internal_error"),
    ],
)
def test_a_failed_job_has_a_code_and_the_worker_continues(
    bench: Bench, error: Exception, code: str
) -> None:
    bad = bench.submit(prompt="bad")
    good = bench.submit()
    engine = SmallEngine(errors={"bad": error})
    with bench.context(engine) as context:
        execute_job(context, "standard")
        execute_job(context, "standard")
    status = bench.status(bad)
    assert status.state is JobState.FAILURE
    assert status.failure
    assert status.failure.code == code
    assert "/secret" not in status.failure.message
    assert bench.status(good).state is JobState.SUCCESS
    assert [name for name in bench.files() if bad in name] == []


def test_a_job_too_large_for_the_memory_is_retried_in_low_memory_mode(bench: Bench) -> None:
    job_id = bench.submit(prompt=GREEDY)
    bench.run()
    status = bench.status(job_id)
    assert (status.state, status.attempts) == (JobState.SUCCESS, 1)
    assert status.warnings == (LOW_MEMORY_WARNING,)
    assert len(bench.files()) == 1
    assert not bench.device_failed.is_set()


def test_a_job_too_large_even_then_fails_and_its_model_is_evicted(bench: Bench) -> None:
    too_large = bench.submit("img2img", prompt=INSATIABLE, n_iter=1)
    good = bench.submit()
    engine = SmallEngine()
    with bench.context(engine) as context:
        execute_job(context, "standard")
        assert context.model_cache.loaded() == ()
        execute_job(context, "standard")
    status = bench.status(too_large)
    assert (status.state, status.attempts) == (JobState.FAILURE, 1)
    assert status.failure
    assert status.failure.code == "out_of_memory"
    assert bench.status(good).state is JobState.SUCCESS
    assert bench.files() == [f"outputs/txt2img-samples/{good}_0.png"]
    assert not bench.device_failed.is_set()


def test_a_worker_without_any_memory_reports_a_device_failure(bench: Bench) -> None:
    job_id = bench.submit(prompt=LEAK)
    bench.run()
    failure = bench.status(job_id).failure
    assert failure
    assert failure.code == "out_of_memory"
    assert bench.device_failed.is_set()


@pytest.mark.parametrize("broken", [True, False])
def test_a_broken_gpu_is_reported_as_a_device_failure(bench: Bench, broken: bool) -> None:
    error = RuntimeError("CUDA error: an illegal memory access was encountered")
    job_id = bench.submit(prompt="bad")
    bench.run(SmallEngine(errors={"bad": error}, broken=error if broken else None))
    failure = bench.status(job_id).failure
    assert failure
    assert failure.code == "internal_error"
    assert bench.device_failed.is_set() == broken


def test_the_failure_for_an_unknown_model_names_it(bench: Bench) -> None:
    job_id = bench.submit(model="sd99")
    bench.run()
    failure = bench.status(job_id).failure
    assert failure
    assert failure.code == "unknown_model"
    assert "sd99" in failure.message
    assert "small" in failure.message


def test_an_init_image_with_damaged_pixels_fails_the_job(bench: Bench) -> None:
    job_id = bench.submit("img2img", init_img=base64.b64encode(broken_pixels()).decode())
    bench.run()
    failure = bench.status(job_id).failure
    assert failure
    assert (failure.code, "damaged" in failure.message) == ("bad_image", True)
    assert bench.files() == []


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        (StoreFull("full"), True),
        (StoreError("input/output error"), True),
        (RecordsUnavailable("no answer"), True),
        (NoSuchPicture("missing"), False),
        (UnsafeName("a link leads out of the root"), False),
        (BadInputImage("damaged"), False),
        (MemoryError(), False),
        (OSError("not of the store"), False),
    ],
)
def test_only_failures_of_the_store_and_of_redis_pass(error: Exception, passing: bool) -> None:
    assert is_passing(error) is passing


def test_a_job_that_meets_a_full_store_is_postponed_and_leaves_no_part(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = bench.store.put, []

    def put(name: str, data: bytes) -> None:
        calls.append(name)
        if len(calls) == 2:
            raise StoreFull("the picture store failed: No space left on device")
        real(name, data)

    monkeypatch.setattr(bench.store, "put", put)
    job_id = bench.submit(n_iter=3)
    bench.run()
    status = bench.status(job_id)
    assert (status.state, status.attempts, status.failure) == (JobState.PENDING, 0, None)
    assert status.postponed
    assert status.postponed.failure.code == "storage_full"
    assert bench.files() == []

    bench.redis.zadd(keys.postponed("standard"), {job_id: 0})
    bench.claims.release_postponed()
    bench.run()
    status = bench.status(job_id)
    assert (status.state, status.attempts) == (JobState.SUCCESS, 1)
    assert len(bench.files()) == 3


def test_the_input_of_a_postponed_job_stays(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = bench.submit("img2img")
    with monkeypatch.context() as broken:

        def rename(*_: object) -> None:
            raise StoreError("the picture store failed: Input/output error")

        broken.setattr(bench.store, "rename", rename)
        bench.run()
    assert bench.status(job_id).postponed
    assert bench.files() == [f"inputs/{job_id}.init.png"]


def test_a_job_that_will_not_fit_is_not_drawn(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def statvfs(_: str) -> SimpleNamespace:
        return SimpleNamespace(f_flag=0, f_bavail=70, f_frsize=4096)  # 284 kB

    monkeypatch.setattr("jobs.pictures.store.os.statvfs", statvfs)
    small, large = bench.submit(), bench.submit(H=512, W=512)
    engine = SmallEngine()
    bench.run(engine, jobs=2)
    assert bench.status(small).state is JobState.SUCCESS
    postponed = bench.status(large).postponed
    assert postponed
    assert postponed.failure.code == "storage_full"
    assert "286720 are free" in postponed.failure.message
    assert bench.status(large).fraction == 0
