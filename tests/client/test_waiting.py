"""Waiting by events, and what is done when they cannot be had."""

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
from tests.client.scripted import Answer, Asked, Script, Scripted, as_json, message, status, stream

DONE = status("SUCCESS", 1.0, Images=[], seeds=[])


@pytest.fixture
def client(scripted: Scripted) -> Client:
    return Client(scripted.url, api_key="", retries=1)


def steps_of(events: list[Event]) -> list[float]:
    return [event.progress.fraction for event in events if isinstance(event, Status)]


def events_then(*answers: Answer, polled: list[dict[str, object]] | None = None) -> Script:
    """Each stream in its turn; `/status` tells one after the other, and stays at the last."""
    streams, statuses = list(answers), list(polled or [DONE])

    def answer(asked: Asked) -> Answer:
        if asked.path.startswith("/events/"):
            return streams.pop(0) if streams else Answer(404)
        return as_json(statuses.pop(0) if len(statuses) > 1 else statuses[0])

    return answer


def test_everything_that_happens_is_told_in_its_order(scripted: Scripted, client: Client) -> None:
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
    told: list[Event] = []

    ended = client.job("j").wait(told.append)

    assert ended.state is State.SUCCESS
    queued, loading, step, picture, done = told
    assert isinstance(queued, Status)
    assert queued.queue_place == 2
    assert isinstance(loading, Status)
    assert loading.loading == 0.5
    assert isinstance(step, Status)
    assert (step.progress.step, step.progress.eta_seconds) == (2, 1)
    assert picture == Preview(2, 4, 1, 8, 16, b"x")
    assert done == ended
    assert scripted.paths() == ["/events/j"]


def test_a_stream_that_breaks_off_goes_on_where_it_was(scripted: Scripted, client: Client) -> None:
    scripted.answers = events_then(
        stream(message(1, "step", status("PROGRESS", 0.1)), "id: 2\nevent: st", cut=True),
        stream(message(2, "step", status("PROGRESS", 0.2))),
        stream(message(3, "done", DONE)),
    )
    told: list[Event] = []

    client.job("j").wait(told.append)

    assert steps_of(told) == [0.1, 0.2, 1.0]
    assert scripted.paths() == ["/events/j"] * 3
    assert [asked.headers.get("last-event-id") for asked in scripted.asked] == [None, "1", "2"]


@pytest.mark.parametrize(
    "answer",
    [
        Answer(404),
        as_json({"error": "too many streams", "details": []}, 503, Retry_After="5"),
        Answer(200, b"<html>", {"Content-Type": "text/html"}),
        Answer(204),
        stream(message(1, "step", {"no": "status"})),
    ],
    ids=["no such route", "too many streams", "a proxy's page", "nothing to tell", "not ours"],
)
def test_without_a_stream_the_job_is_asked(
    scripted: Scripted, client: Client, answer: Answer
) -> None:
    scripted.answers = events_then(
        answer, polled=[status("PENDING"), status("PROGRESS", 0.5), DONE]
    )
    told: list[Event] = []

    client.job("j").wait(told.append)

    assert steps_of(told) == [0.0, 0.5, 1.0]
    assert scripted.paths() == ["/events/j"] + ["/status/j"] * 3
    assert all("images=false" in asked.path for asked in scripted.asked[1:])


def test_a_stream_that_breaks_off_again_and_again_is_given_up(
    scripted: Scripted, client: Client
) -> None:
    scripted.answers = events_then(*[stream(cut=True)] * 3)

    assert client.job("j").wait().state is State.SUCCESS
    assert scripted.paths() == ["/events/j"] * 3 + ["/status/j"]


def test_a_job_that_never_was_is_no_such_job(scripted: Scripted, client: Client) -> None:
    scripted.answers = lambda _: as_json({"error": "no such job", "details": []}, 404)

    with pytest.raises(NoSuchJob, match="no such job"):
        client.job("j").wait()


def test_a_failed_job_says_why_and_a_cancelled_one_that_it_is(
    scripted: Scripted, client: Client
) -> None:
    failed = status("FAILURE", error="no room", code="out_of_memory")
    scripted.answers = events_then(stream(message(1, "failed", failed)))
    with pytest.raises(JobFailed, match="no room") as failure:
        client.job("j").wait()
    assert failure.value.code == "out_of_memory"

    scripted.answers = events_then(stream(message(1, "cancelled", status("CANCELLED"))))
    with pytest.raises(JobCancelled):
        client.job("j").wait()


def test_who_waits_only_so_long_is_told_that_the_job_goes_on(
    scripted: Scripted, client: Client
) -> None:
    scripted.answers = events_then(polled=[status("PROGRESS", 0.5)])

    with pytest.raises(WaitTimeout, match=r"job j has not ended in 0\.3 seconds"):
        client.job("j").wait(timeout=0.3)


def test_a_refusal_that_passes_is_waited_out_as_long_as_the_service_says(
    scripted: Scripted, client: Client
) -> None:
    answers = [as_json({"error": "full", "details": []}, 503, Retry_After="1"), as_json(DONE)]
    scripted.answers = lambda _: answers.pop(0)
    began = time.monotonic()

    assert client.status("j").state is State.SUCCESS

    assert time.monotonic() - began >= 1
    assert len(scripted.asked) == 2


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (as_json({"error": "full", "details": []}, 503, Retry_After="3600"), 3600),
        (as_json({"error": "often", "details": []}, 429, Retry_After="90"), 90),
    ],
)
def test_one_that_does_not_pass_soon_is_told_at_once(
    scripted: Scripted, client: Client, answer: Answer, seconds: int
) -> None:
    scripted.answers = lambda _: answer

    with pytest.raises(ServiceUnavailable) as refused:
        client.status("j")

    assert refused.value.retry_after == seconds
    assert len(scripted.asked) == 1


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (Answer(200, b"<html>"), UnexpectedAnswer, "see that the address is right"),
        (Answer(404, b"<html>"), UnexpectedAnswer, "answers 404"),
        (Answer(302), UnexpectedAnswer, "answers 302"),
        (as_json([1]), UnexpectedAnswer, "see that the address is right"),
        (as_json({"task_id": "j", "State": "DREAMING"}), UnexpectedAnswer, "cannot be read"),
        (as_json({"error": "a fault", "details": []}, 500), UnexpectedAnswer, "500: a fault"),
        (Answer(502, b"<html>", {"Retry-After": "0"}), ServiceUnavailable, "502 Bad Gateway"),
        (as_json({"error": "gone", "details": []}, 410), JobExpired, "gone"),
        (as_json({"error": "large", "details": []}, 413), BadRequest, "large"),
    ],
)
def test_an_answer_that_is_not_well_says_what_it_is(
    scripted: Scripted, client: Client, answer: Answer, error: type[Exception], said: str
) -> None:
    scripted.answers = lambda _: answer

    with pytest.raises(error, match=said):
        client.status("j")


def test_the_time_to_come_back_may_be_a_date(scripted: Scripted, client: Client) -> None:
    when = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    scripted.answers = lambda _: Answer(503, b"", {"Retry-After": when})

    with pytest.raises(ServiceUnavailable) as refused:
        client.status("j")

    assert refused.value.retry_after == pytest.approx(3600, abs=120)


def test_a_lost_answer_is_asked_for_again(scripted: Scripted, client: Client) -> None:
    answers = [Answer(cut=True), as_json(DONE)]
    scripted.answers = lambda _: answers.pop(0)

    assert client.status("j").state is State.SUCCESS


def test_a_service_that_is_not_there_is_named_with_what_to_do(unused_port: int) -> None:
    with (
        Client(f"127.0.0.1:{unused_port}", retries=0) as client,
        pytest.raises(ServiceUnavailable, match=f"127.0.0.1:{unused_port}.*SD_ADDRESS"),
    ):
        client.models()


@pytest.fixture
def unused_port() -> int:
    with Scripted() as server:
        port = server.url.rpartition(":")[2]
    return int(port)
