"""A job that cannot be drawn says why, and the worker goes on."""

import base64

import pytest

from jobs.errors import StoreFull
from jobs.status import JobState
from stable_diffusion.errors import PromptError, UnreadableModel
from tests.png_chunks import broken_pixels
from tests.worker.conftest import Bench
from tests.worker.small import GREEDY, INSATIABLE, LEAK, SmallEngine
from worker.studio import MEMORY_RAN_OUT

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
def test_a_failure_is_told_with_a_code_and_the_worker_goes_on(
    bench: Bench, error: Exception, code: str
) -> None:
    bad = bench.submit(prompt="bad")
    good = bench.submit()
    engine = SmallEngine(errors={"bad": error})
    with bench.runner(engine) as runner:
        runner.run_next("standard")
        runner.run_next("standard")
    status = bench.status(bad)
    assert status.state is JobState.FAILURE
    assert status.failure
    assert status.failure.code == code
    assert "/secret" not in status.failure.message
    assert bench.status(good).state is JobState.SUCCESS
    assert [name for name in bench.files() if bad in name] == []


def test_a_job_too_large_for_the_memory_is_drawn_again_with_little(bench: Bench) -> None:
    job_id = bench.submit(prompt=GREEDY)
    bench.run()
    status = bench.status(job_id)
    assert (status.state, status.attempts) == (JobState.SUCCESS, 1)
    assert status.warnings == (MEMORY_RAN_OUT,)
    assert len(bench.files()) == 1
    assert not bench.unwell.is_set()


def test_a_job_too_large_even_then_fails_and_its_model_makes_room(bench: Bench) -> None:
    too_large = bench.submit("img2img", prompt=INSATIABLE, n_iter=1)
    good = bench.submit()
    engine = SmallEngine()
    with bench.runner(engine) as runner:
        runner.run_next("standard")
        assert runner.studio.shelf.loaded() == ()
        runner.run_next("standard")
    status = bench.status(too_large)
    assert (status.state, status.attempts) == (JobState.FAILURE, 1)
    assert status.failure
    assert status.failure.code == "out_of_memory"
    assert bench.status(good).state is JobState.SUCCESS
    assert bench.files() == [f"outputs/txt2img-samples/{good}_0.png"]
    assert not bench.unwell.is_set()


def test_a_worker_that_gets_no_memory_at_all_says_so(bench: Bench) -> None:
    job_id = bench.submit(prompt=LEAK)
    bench.run()
    failure = bench.status(job_id).failure
    assert failure
    assert failure.code == "out_of_memory"
    assert bench.unwell.is_set()


@pytest.mark.parametrize("broken", [True, False])
def test_a_worker_whose_gpu_broke_says_so(bench: Bench, broken: bool) -> None:
    error = RuntimeError("CUDA error: an illegal memory access was encountered")
    job_id = bench.submit(prompt="bad")
    bench.run(SmallEngine(errors={"bad": error}, broken=error if broken else None))
    failure = bench.status(job_id).failure
    assert failure
    assert failure.code == "internal_error"
    assert bench.unwell.is_set() == broken


def test_a_model_that_is_not_here_fails_the_job_by_name(bench: Bench) -> None:
    job_id = bench.submit(model="sd99")
    bench.run()
    failure = bench.status(job_id).failure
    assert failure
    assert failure.code == "unknown_model"
    assert "sd99" in failure.message
    assert "small" in failure.message


def test_an_init_image_that_only_decoding_finds_damaged_fails_the_job(bench: Bench) -> None:
    job_id = bench.submit("img2img", init_img=base64.b64encode(broken_pixels()).decode())
    bench.run()
    failure = bench.status(job_id).failure
    assert failure
    assert (failure.code, "damaged" in failure.message) == ("bad_image", True)
    assert bench.files() == []


def test_a_full_store_fails_the_job_and_leaves_no_part_of_it(
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
    failure = bench.status(job_id).failure
    assert failure
    assert failure.code == "storage_full"
    assert bench.files() == []
