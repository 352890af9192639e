import base64
import io
import threading
from collections.abc import Callable

import pytest
from PIL import Image

from jobs import keys
from jobs.errors import NoSuchPicture, RecordsUnavailable, StoreFull
from jobs.status import JobState
from stable_diffusion.errors import PromptError, UnreadableModel
from tests.png_chunks import broken_pixels
from tests.worker.conftest import Bench, until
from tests.worker.small import GREEDY, INSATIABLE, LEAK, SmallEngine
from worker.errors import StopReason
from worker.studio import MEMORY_RAN_OUT


def opened(bench: Bench, name: str) -> Image.Image:
    return Image.open(io.BytesIO(bench.store.read(name)))


def test_a_job_becomes_pictures_with_their_seeds(bench: Bench) -> None:
    job_id = bench.submit(n_iter=2, n_samples=2, seed=40, outdir="cats")
    bench.run()
    status = bench.status(job_id)
    assert (status.state, status.fraction, status.attempts) == (JobState.SUCCESS, 1, 1)
    assert status.result
    names = [f"cats/{job_id}_{n}.png" for n in range(4)]
    assert [image.name for image in status.result.images] == names
    assert status.result.seeds == (40, 41, 42, 43)
    assert bench.files() == names
    assert opened(bench, names[2]).getpixel((0, 0)) == (42, 2, 99)
    assert status.result.prompt["prompt"] == {"text": "a red cat"}
    assert set(status.result.timings) == {"queued", "load", "sample", "save"}
    assert bench.records.recent() == (job_id,)


def test_every_picture_carries_its_recipe(bench: Bench) -> None:
    png = bench.submit(n_iter=2, seed=3)
    bench.run()
    jpg = bench.submit(format="jpg", prompt="ein Ätna, 東京")
    bench.run()
    parameters = opened(bench, f"outputs/txt2img-samples/{png}_1.png").info["parameters"]
    assert parameters.startswith("a red cat\nSteps: 5, Sampler: DDIM,")
    assert "Seed: 4, Size: 64x64, Model hash: 0123456789, Model: small" in parameters
    comment = opened(bench, f"outputs/txt2img-samples/{jpg}_0.jpg").getexif()
    text = comment.get_ifd(0x8769)[0x9286]
    assert text.removeprefix(b"UNICODE\0").decode("utf-16-be").startswith("ein Ätna, 東京\n")


def test_every_prompt_of_a_file_is_drawn_with_seeds_that_go_on_counting(bench: Bench) -> None:
    job_id = bench.submit(prompts=("a cat", "a dog"), n_iter=2, seed=5, skip_grid=False)
    bench.run()
    status = bench.status(job_id)
    assert status.result
    assert status.result.seeds == (5, 6, 7, 8)
    assert status.result.grid
    texts = [opened(bench, image.name).info["parameters"] for image in status.result.images]
    assert [text.partition("\n")[0] for text in texts] == ["a cat", "a cat", "a dog", "a dog"]
    assert ["Seed: 8" in text for text in texts] == [False, False, False, True]
    assert status.result.prompt["prompts"] == [{"text": "a cat"}, {"text": "a dog"}]


def test_a_grid_has_all_pictures_in_the_rows_asked_for(bench: Bench) -> None:
    job_id = bench.submit(n_iter=3, n_samples=2, skip_grid=False, n_rows=3, W=128, seed=0)
    bench.run()
    result = bench.status(job_id).result
    assert result
    assert result.grid
    assert (result.grid.width, result.grid.height) == (2 * 128, 3 * 64)
    sheet = opened(bench, result.grid.name)
    assert sheet.getpixel((130, 65)) == (3, 3, 99)


def test_one_picture_makes_no_grid(bench: Bench) -> None:
    job_id = bench.submit(skip_grid=False)
    bench.run()
    result = bench.status(job_id).result
    assert result
    assert result.grid is None


def test_skipped_saves_leave_only_the_grid_where_pictures_are_kept(bench: Bench) -> None:
    job_id = bench.submit(n_iter=2, skip_save=True, skip_grid=False, outdir="kept")
    bench.run()
    result = bench.status(job_id).result
    assert result
    assert not result.saved
    assert bench.files() == [
        f"kept/{job_id}_grid.png",
        f"transient/{job_id}_0.png",
        f"transient/{job_id}_1.png",
    ]


def test_an_init_image_is_forgotten_when_its_job_ends(bench: Bench) -> None:
    for engine in (SmallEngine(), SmallEngine(errors={"a red cat": PromptError("no", 0)})):
        job_id = bench.submit("img2img", n_iter=1)
        bench.run(engine)
        assert bench.status(job_id).state.final
        with pytest.raises(NoSuchPicture):
            bench.store.read_init_image(job_id)


def test_what_cannot_be_honoured_is_said(bench: Bench) -> None:
    job_id = bench.submit(device="cuda")
    bench.run()
    assert bench.status(job_id).warnings == (
        "device: cuda was asked for; this worker has no CUDA device, so it ran on the CPU",
    )


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


class Underway:
    """A job that stands after its first evaluation, and the thread that runs it."""

    def __init__(self, bench: Bench, job_id: str) -> None:
        self.job_id = job_id
        self.gate = threading.Event()
        self.engine = SmallEngine(gate=self.gate)
        self.reason: StopReason | None = None
        self._context = bench.runner(self.engine)
        self.runner = self._context.__enter__()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self.engine.started.wait(30)

    def _run(self) -> None:
        self.reason = self.runner.run_next("standard")

    def go_on(self) -> None:
        self.gate.set()
        self._thread.join(30)
        assert not self._thread.is_alive()
        self._context.__exit__(None, None, None)


@pytest.fixture
def underway(bench: Bench) -> Callable[..., Underway]:
    return lambda **body: Underway(bench, bench.submit(**body))


def test_a_running_job_shows_its_progress(bench: Bench, underway: Callable[..., Underway]) -> None:
    job = underway(n_iter=2, ddim_steps=5)
    until(lambda: bench.status(job.job_id).state is JobState.PROGRESS)
    status = bench.status(job.job_id)
    assert status.progress
    assert (status.progress.step, status.progress.steps) == (1, 10)
    assert (status.progress.image, status.progress.images) == (1, 2)
    assert status.fraction == pytest.approx(0.1)
    assert status.progress.eta_seconds is not None
    job.go_on()
    assert bench.status(job.job_id).fraction == 1


def test_a_cancelled_job_stops_at_the_next_evaluation_and_stores_nothing(
    bench: Bench, underway: Callable[..., Underway]
) -> None:
    job = underway(ddim_steps=1000)
    bench.records.cancel(job.job_id)
    until(lambda: any(running._reason for running in job.runner.keeper.running()))
    job.go_on()
    assert job.reason is StopReason.CANCELLED
    assert bench.status(job.job_id).state is JobState.CANCELLED
    assert bench.files() == []
    next_one = bench.submit()
    bench.run()
    assert bench.status(next_one).state is JobState.SUCCESS


def test_a_job_that_was_given_away_is_dropped_and_its_result_is_the_others(
    bench: Bench, underway: Callable[..., Underway]
) -> None:
    job = underway()
    # as if this worker had been frozen for longer than its lease
    bench.redis.zadd(keys.LEASES, {job.job_id: 0})
    bench.claims.reap()
    bench.run()
    finished = bench.status(job.job_id)
    assert (finished.state, finished.attempts) == (JobState.SUCCESS, 2)
    job.go_on()
    assert job.reason is StopReason.LOST
    assert bench.status(job.job_id) == finished
    assert bench.files() == [f"outputs/txt2img-samples/{job.job_id}_0.png"]


def test_a_worker_that_leaves_hands_its_job_back(
    bench: Bench, underway: Callable[..., Underway]
) -> None:
    job = underway()
    job.runner.keeper.stop_all(StopReason.HAND_BACK)
    job.go_on()
    assert job.reason is StopReason.HAND_BACK
    status = bench.status(job.job_id)
    assert (status.state, status.attempts, status.place) == (JobState.PENDING, 0, 1)
    assert bench.files() == []
    bench.run()
    assert bench.status(job.job_id).state is JobState.SUCCESS


def test_pictures_that_a_frozen_worker_publishes_after_a_cancellation_are_deleted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = bench.submit()
    real = bench.claims.finish

    def finish(*arguments: object) -> object:
        # frozen between publishing and this; meanwhile it was taken away, and cancelled
        bench.redis.zadd(keys.LEASES, {job_id: 0})
        bench.claims.reap()
        bench.records.cancel(job_id)
        assert bench.remains.tidy(job_id)
        bench.store.put(f"outputs/txt2img-samples/{job_id}_0.png", b"published just now")
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(bench.claims, "finish", finish)
    bench.run()
    assert bench.status(job_id).state is JobState.CANCELLED
    assert bench.files() == []


def test_nothing_is_published_of_a_job_that_was_just_cancelled(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = bench.submit("img2img")
    real, seen = bench.claims.publishing, []

    def publishing(*arguments: object, **options: object) -> object:
        bench.records.cancel(job_id)
        hold = real(*arguments, **options)  # type: ignore[arg-type]
        seen.extend(name for name in bench.files() if name.startswith("outputs"))
        return hold

    monkeypatch.setattr(bench.claims, "publishing", publishing)
    bench.run()
    assert bench.status(job_id).state is JobState.CANCELLED
    assert seen == bench.files() == []


def test_a_cancellation_that_comes_after_the_last_evaluation_still_holds(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = bench.submit()
    real = bench.claims.finish

    def finish(*arguments: object) -> object:
        bench.records.cancel(job_id)
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(bench.claims, "finish", finish)
    bench.run()
    assert bench.status(job_id).state is JobState.CANCELLED
    assert bench.files() == []


def test_an_ending_is_written_once_redis_is_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = bench.submit()
    real, failures = bench.claims.finish, [RecordsUnavailable("gone"), RecordsUnavailable("gone")]

    def finish(*arguments: object) -> object:
        if failures:
            raise failures.pop()
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("worker.pen._RETRY_SECONDS", 0.01)
    monkeypatch.setattr(bench.claims, "finish", finish)
    bench.run()
    assert bench.status(job_id).state is JobState.SUCCESS


def test_a_wake_up_call_with_nothing_to_do_does_nothing(bench: Bench) -> None:
    with bench.runner() as runner:
        assert runner.run_next("standard") is None
