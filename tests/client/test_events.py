"""Waiting with the event stream of a real service."""

import io

import pytest
from PIL import Image

from sd_client import Client, Event, JobCancelled, Preview, State, Status
from sd_client.transport import Transport
from sd_client.watch import Deadline, poll, stream
from tests.worker.small import INSATIABLE

pytestmark = pytest.mark.service


@pytest.fixture
def transport(small_service: str) -> Transport:
    return Transport(small_service, "", timeout=30, retries=3)


def by_events(transport: Transport, job_id: str) -> list[Event]:
    return list(stream(transport, job_id, Deadline.after(job_id, None)))


def by_polling(transport: Transport, job_id: str) -> list[Status]:
    return list(poll(transport, job_id, Deadline.after(job_id, None)))


@pytest.mark.parametrize(("prompt", "end"), [("a cat", State.SUCCESS), (INSATIABLE, State.FAILURE)])
def test_stream_and_polling_end_with_the_same_status(
    client: Client, transport: Transport, prompt: str, end: State
) -> None:
    job = client.submit_generate(prompt, size="64x64", steps=12)

    events = by_events(transport, job.id)
    polled = by_polling(transport, job.id)

    assert isinstance(events[-1], Status)
    assert events[-1].state is end
    assert events[-1] == polled[-1]
    statuses = [event for event in events if isinstance(event, Status)]
    fractions = [status.progress.fraction for status in statuses]
    assert fractions == sorted(fractions)


def test_the_stream_reports_single_steps(client: Client, transport: Transport) -> None:
    job = client.submit_generate("a cat", size="64x64", steps=900)

    steps: list[int] = []
    for event in stream(transport, job.id, Deadline.after(job.id, None)):
        if isinstance(event, Status) and event.progress.step:
            steps.append(event.progress.step)
        if len(set(steps)) > 4:
            break
    job.cancel()

    assert len(set(steps)) > 4
    assert steps[-1] < 900


def test_previews_are_small_pictures(client: Client, transport: Transport) -> None:
    job = client.submit_generate("a cat", size="64x128", steps=30)

    previews = [event for event in by_events(transport, job.id) if isinstance(event, Preview)]

    assert previews
    for preview in previews:
        assert 1 <= preview.step <= preview.steps == 30
        with Image.open(io.BytesIO(preview.data)) as picture:
            assert (picture.format, picture.size) == ("JPEG", (preview.width, preview.height))


def test_the_stream_of_a_cancelled_job_ends_with_its_status(
    client: Client, transport: Transport
) -> None:
    job = client.submit_generate("a cat", size="64x64", steps=900)
    events = stream(transport, job.id, Deadline.after(job.id, None))
    next(events)

    job.cancel()

    *_, last = events
    assert isinstance(last, Status)
    assert last.state is State.CANCELLED
    with pytest.raises(JobCancelled):
        job.wait()
