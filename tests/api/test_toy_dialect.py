"""A dialect is one function over JobService: this one is added here, with nothing of the native.

What it says here is its description in its OpenAPI document.
"""

import base64
from collections.abc import Iterator
from threading import Thread
from typing import Any

import pytest
from flask import Blueprint, Response, request
from flask.testing import FlaskClient
from flask.typing import ResponseReturnValue
from pydantic import BaseModel

from api import create_app
from api.auth import DUMMY_KEY
from api.dialect import Services
from api.dialects import DIALECTS
from api.http_errors import HttpError, register_error_handlers
from api.operations import ApiResponse, Operation
from api.settings import ApiSettings
from tests.api.conftest import HandWorker

BASIC = {"Authorization": "Basic " + base64.b64encode(f"anybody:{DUMMY_KEY}".encode()).decode()}


class DrawRequest(BaseModel):
    """The toy's request."""

    words: str
    count: int = 1


class Note(BaseModel):
    """The toy's form."""

    title: str
    page: bytes


class Problem(BaseModel):
    """The toy's error."""

    oops: str


class Drawings(BaseModel):
    """The toy's answer."""

    job: str
    state: str
    drawings: list[str] = []


def toy(services: Services) -> Blueprint:
    """Pictures as base64, Basic authentication, errors and progress of its own."""
    jobs = services.jobs
    routes = Blueprint("toy", __name__, url_prefix="/toy")

    def oops(error: HttpError) -> ResponseReturnValue:
        return {"oops": error.message}, error.status, list(error.headers)

    register_error_handlers(routes, oops)

    def submitter() -> str:
        password = request.authorization.password if request.authorization else None
        return services.keys.authenticate([password]).submitter

    @routes.post("/draw")
    @Operation(
        responses={200: ApiResponse(description="the drawings", body=Drawings)},
        errors=(400, 401),
        error=Problem,
        body=DrawRequest,
    )
    def draw() -> ResponseReturnValue:
        """Draw and wait."""
        wanted = DrawRequest.model_validate(request.get_json())
        body = {"prompt": wanted.words, "n_iter": wanted.count, "W": 64, "H": 64, "skip_grid": True}
        gone = "X-Gone" in request.headers
        result = jobs.submit_and_wait(
            "txt2img", body, submitter=submitter(), abandoned=lambda: gone
        )
        status = result.status or jobs.status(result.job.job_id)
        pictures = [base64.b64encode(data).decode() for data in jobs.pictures(status)]
        return Drawings(job=status.job_id, state=status.state, drawings=pictures).model_dump()

    @routes.post("/note")
    @Operation(
        responses={200: ApiResponse(description="the note", media=("text/plain",))},
        body=Note,
        media=("multipart/form-data", "application/x-www-form-urlencoded"),
    )
    def note() -> Response:
        """A form with a file."""
        return Response(request.form["title"], mimetype="text/plain")

    @routes.get("/follow/<job_id>")
    @Operation(responses={200: ApiResponse(description="states", media=("text/plain",))})
    def follow(job_id: str) -> Response:
        """Each state of the job, a line each."""
        events = jobs.events(job_id)
        lines = (f"{event.status.state}\n" for event in events if event)
        response = Response(lines, mimetype="text/plain")
        response.call_on_close(events.close)
        return response

    @routes.get("/models")
    @Operation(responses={200: ApiResponse(description="names", media=("text/plain",))})
    def models() -> Response:
        """The models, a line each."""
        return Response("\n".join(jobs.served().models), mimetype="text/plain")

    return routes


@pytest.fixture
def client(settings: ApiSettings) -> Iterator[FlaskClient]:
    app = create_app(settings.model_copy(update={"event_streams": 1}), (*DIALECTS, toy))
    with app.test_client() as client:
        yield client


def test_a_toy_dialect_waits_and_gets_several_pictures(
    client: FlaskClient, worker: HandWorker
) -> None:
    drawing = Thread(target=worker.draw)
    drawing.start()

    answer: Any = client.post("/toy/draw", json={"words": "a cat", "count": 2}, headers=BASIC).json

    drawing.join()
    assert answer["state"] == "SUCCESS"
    pictures = [base64.b64decode(drawing) for drawing in answer["drawings"]]
    assert len(pictures) == 2
    assert all(picture.startswith(b"\x89PNG") for picture in pictures)
    assert client.get(f"/status/{answer['job']}?images=false").get_json()["State"] == "SUCCESS"


def test_a_job_whose_client_has_gone_is_cancelled(client: FlaskClient, worker: HandWorker) -> None:
    gone = {**BASIC, "X-Gone": "1"}

    answer: Any = client.post("/toy/draw", json={"words": "a cat"}, headers=gone).json

    assert answer["state"] == "CANCELLED"
    assert worker.queued() == 0


def test_a_toy_dialect_streams_the_states_of_a_job_and_frees_its_slot(
    client: FlaskClient, worker: HandWorker
) -> None:
    job = client.post("/generate", json={"prompt": "a", "W": 64}, headers={"X-API-Key": DUMMY_KEY})
    worker.draw()

    for _ in range(2):  # there is one slot
        with client.get(f"/toy/follow/{job.get_json()['task_id']}") as answer:
            assert answer.get_data(as_text=True).splitlines()[-1] == "SUCCESS"


def test_its_errors_have_a_shape_of_their_own(client: FlaskClient, worker: HandWorker) -> None:
    invalid = client.post("/toy/draw", json={"words": "a cat", "count": 0}, headers=BASIC)
    assert (invalid.status_code, invalid.get_json().keys()) == (400, {"oops"})
    assert client.post("/toy/draw", json={"words": "a"}).status_code == 401
    assert client.get("/nowhere").get_json().keys() == {"error", "details"}


def test_it_lists_the_models(client: FlaskClient, worker: HandWorker) -> None:
    assert client.get("/toy/models").text == "tiny"


def test_it_has_an_openapi_document_of_its_own(client: FlaskClient) -> None:
    document: Any = client.get("/openapi/toy.json").json
    assert document["paths"].keys() == {
        "/toy/draw",
        "/toy/note",
        "/toy/follow/{job_id}",
        "/toy/models",
    }
    assert "added here" in document["info"]["description"]
    note = document["paths"]["/toy/note"]["post"]["requestBody"]["content"]
    assert note.keys() == {"multipart/form-data", "application/x-www-form-urlencoded"}
    page = document["components"]["schemas"]["Note"]["properties"]["page"]
    assert page["format"] == "binary"
    native: Any = client.get("/openapi.json").json
    assert not any(path.startswith("/toy") for path in native["paths"])
    assert not {"DrawRequest", "Problem"} & native["components"]["schemas"].keys()
    page_of_both = client.get("/docs/").text
    assert all(f'"url": "{url}"' in page_of_both for url in ("/openapi.json", "/openapi/toy.json"))


def test_its_document_describes_its_bodies_and_errors(client: FlaskClient) -> None:
    document: Any = client.get("/openapi/toy.json").json
    draw = document["paths"]["/toy/draw"]["post"]
    reference = "#/components/schemas/"
    body = draw["requestBody"]["content"]["application/json"]["schema"]
    error = draw["responses"]["400"]["content"]["application/json"]["schema"]
    assert body == {"$ref": f"{reference}DrawRequest"}
    assert error == {"$ref": f"{reference}Problem"}
    assert {"DrawRequest", "Problem", "Drawings"} <= document["components"]["schemas"].keys()
