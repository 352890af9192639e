"""Waiting with the event stream, and without one."""

import base64
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from sd_client import (
    BadRequest,
    Client,
    Event,
    JobCancelled,
    JobExpired,
    JobFailed,
    NoSuchJob,
    Preview,
    ServiceUnavailable,
    State,
    Status,
    UnexpectedAnswer,
    WaitTimeout,
)
from tests.client.scripted import (
    Answer,
    Received,
    Script,
    Scripted,
    as_json,
    message,
    status,
    stream,
)
from tests.ports import free_port

DONE = status("SUCCESS", 1.0, Images=[], seeds=[])


@pytest.fixture
def client(scripted: Scripted) -> Client:
    return Client(scripted.url, api_key="", retries=1)


def fractions_of(events: list[Event]) -> list[float]:
    return [event.progress.fraction for event in events if isinstance(event, Status)]


def events_then(*answers: Answer, polled: list[dict[str, object]] | None = None) -> Script:
    """Streams and statuses in order; the last status repeats."""
    streams, statuses = list(answers), list(polled or [DONE])

    def answer(request: Received) -> Answer:
        if request.path.startswith("/events/"):
            return streams.pop(0) if streams else Answer(404)
        return as_json(statuses.pop(0) if len(statuses) > 1 else statuses[0])

    return answer


def test_the_stream_gives_all_events_in_order(scripted: Scripted, client: Client) -> None:
    preview = {"task_id": "j", "step": 2, "steps": 4, "image": 1, "width": 8, "height": 16}
    scripted.answers = events_then(
        stream(
            message(1, "queued", status("PENDING", queue_place=2)),
            message(2, "loading", status("LOADING", Loading=0.5)),
            message(3, "step", status("PROGRESS", 0.5, step=2, steps=4, image=1, images=1, ETA=1)),
            message(
                4,
                "preview",
                {**preview, "Preview": "data:image/jpeg;base64," + base64.b64encode(b"x").decode()},
            ),
            message(5, "from the future", {"what": "ever"}),
            message(6, "done", DONE),
        )
    )
    events: list[Event] = []

    ended = client.job("j").wait(events.append)

    assert ended.state is State.SUCCESS
    queued, loading, step, picture, done = events
    assert isinstance(queued, Status)
    assert queued.queue_place == 2
    assert isinstance(loading, Status)
    assert loading.loading == 0.5
    assert isinstance(step, Status)
    assert (step.progress.step, step.progress.eta_seconds) == (2, 1)
    assert picture == Preview(2, 4, 1, 8, 16, b"x")
    assert done == ended
    assert scripted.paths() == ["/events/j"]


def test_a_broken_stream_resumes_after_the_last_event(scripted: Scripted, client: Client) -> None:
    scripted.answers = events_then(
        stream(message(1, "step", status("PROGRESS", 0.1)), "id: 2\nevent: st", cut=True),
        stream(message(2, "step", status("PROGRESS", 0.2))),
        stream(message(3, "done", DONE)),
    )
    events: list[Event] = []

    client.job("j").wait(events.append)

    assert fractions_of(events) == [0.1, 0.2, 1.0]
    assert scripted.paths() == ["/events/j"] * 3
    assert [request.headers.get("last-event-id") for request in scripted.received] == [
        None,
        "1",
        "2",
    ]


@pytest.mark.parametrize(
    "answer",
    [
        Answer(404),
        as_json({"error": "too many streams", "details": []}, 503, Retry_After="5"),
        Answer(200, b"<html>", {"Content-Type": "text/html"}),
        Answer(204),
        stream(message(1, "step", {"no": "status"})),
    ],
    ids=["no such route", "too many streams", "a proxy's page", "no content", "not ours"],
)
def test_without_a_stream_the_job_is_polled(
    scripted: Scripted, client: Client, answer: Answer
) -> None:
    scripted.answers = events_then(
        answer, polled=[status("PENDING"), status("PROGRESS", 0.5), DONE]
    )
    events: list[Event] = []

    client.job("j").wait(events.append)

    assert fractions_of(events) == [0.0, 0.5, 1.0]
    assert scripted.paths() == ["/events/j"] + ["/status/j"] * 3
    assert all("images=false" in request.path for request in scripted.received[1:])


def test_after_three_broken_streams_the_job_is_polled(scripted: Scripted, client: Client) -> None:
    scripted.answers = events_then(*[stream(cut=True)] * 3)

    assert client.job("j").wait().state is State.SUCCESS
    assert scripted.paths() == ["/events/j"] * 3 + ["/status/j"]


def test_an_unknown_job_raises_no_such_job(scripted: Scripted, client: Client) -> None:
    scripted.answers = lambda _: as_json({"error": "no such job", "details": []}, 404)

    with pytest.raises(NoSuchJob, match="no such job"):
        client.job("j").wait()


def test_failed_and_cancelled_jobs_raise(scripted: Scripted, client: Client) -> None:
    failed = status("FAILURE", error="no memory left", code="out_of_memory")
    scripted.answers = events_then(stream(message(1, "failed", failed)))
    with pytest.raises(JobFailed, match="no memory left") as failure:
        client.job("j").wait()
    assert failure.value.code == "out_of_memory"

    scripted.answers = events_then(stream(message(1, "cancelled", status("CANCELLED"))))
    with pytest.raises(JobCancelled):
        client.job("j").wait()


def test_a_timeout_raises_wait_timeout(scripted: Scripted, client: Client) -> None:
    scripted.answers = events_then(polled=[status("PROGRESS", 0.5)])

    with pytest.raises(WaitTimeout, match=r"job j has not ended in 0\.3 seconds"):
        client.job("j").wait(timeout=0.3)


def test_a_transient_error_is_retried_after_retry_after(scripted: Scripted, client: Client) -> None:
    answers = [as_json({"error": "full", "details": []}, 503, Retry_After="1"), as_json(DONE)]
    scripted.answers = lambda _: answers.pop(0)
    began = time.monotonic()

    assert client.status("j").state is State.SUCCESS

    assert time.monotonic() - began >= 1
    assert len(scripted.received) == 2


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (as_json({"error": "full", "details": []}, 503, Retry_After="3600"), 3600),
        (as_json({"error": "often", "details": []}, 429, Retry_After="90"), 90),
    ],
)
def test_a_long_retry_after_raises_at_once(
    scripted: Scripted, client: Client, answer: Answer, seconds: int
) -> None:
    scripted.answers = lambda _: answer

    with pytest.raises(ServiceUnavailable) as refused:
        client.status("j")

    assert refused.value.retry_after == seconds
    assert len(scripted.received) == 1


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (Answer(200, b"<html>"), UnexpectedAnswer, "check the address"),
        (Answer(404, b"<html>"), UnexpectedAnswer, "answered 404"),
        (Answer(302), UnexpectedAnswer, "answered 302"),
        (as_json([1]), UnexpectedAnswer, "check the address"),
        (as_json({"task_id": "j", "State": "DREAMING"}), UnexpectedAnswer, "cannot be read"),
        (as_json({"error": "a fault", "details": []}, 500), UnexpectedAnswer, "500: a fault"),
        (Answer(502, b"<html>", {"Retry-After": "0"}), ServiceUnavailable, "502 Bad Gateway"),
        (as_json({"error": "gone", "details": []}, 410), JobExpired, "gone"),
        (as_json({"error": "large", "details": []}, 413), BadRequest, "large"),
    ],
)
def test_each_unsuccessful_answer_has_its_exception(
    scripted: Scripted, client: Client, answer: Answer, error: type[Exception], message: str
) -> None:
    scripted.answers = lambda _: answer

    with pytest.raises(error, match=message):
        client.status("j")


def test_retry_after_may_be_a_date(scripted: Scripted, client: Client) -> None:
    when = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    scripted.answers = lambda _: Answer(503, b"", {"Retry-After": when})

    with pytest.raises(ServiceUnavailable) as refused:
        client.status("j")

    assert refused.value.retry_after == pytest.approx(3600, abs=120)


def test_a_request_without_an_answer_is_repeated(scripted: Scripted, client: Client) -> None:
    answers = [Answer(cut=True), as_json(DONE)]
    scripted.answers = lambda _: answers.pop(0)

    assert client.status("j").state is State.SUCCESS


def test_the_error_of_an_unreachable_service_names_it(unused_port: int) -> None:
    with (
        Client(f"127.0.0.1:{unused_port}", retries=0) as client,
        pytest.raises(ServiceUnavailable, match=f"127.0.0.1:{unused_port}.*SD_ADDRESS"),
    ):
        client.models()


@pytest.fixture
def unused_port() -> int:
    return free_port()
