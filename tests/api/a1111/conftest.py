"""A caller of AUTOMATIC1111's dialect, on the API and the worker of `tests/api/conftest.py`."""

import base64
import io
from threading import Thread
from typing import Any

import pytest
import webuiapi
from flask.testing import FlaskClient
from PIL import Image
from werkzeug.test import TestResponse

from api.auth import DUMMY_KEY
from jobs.worker_facts import ModelFacts, WorkerFacts
from tests.api.conftest import HandWorker


def basic(key: str) -> dict[str, str]:
    """The header of a client that knows a name and a password."""
    return {"Authorization": "Basic " + base64.b64encode(f"anybody:{key}".encode()).decode()}


def encoded(size: tuple[int, int] = (64, 64), colour: str = "blue") -> str:
    """A picture of one colour as base64."""
    data = io.BytesIO()
    Image.new("RGB", size, colour).save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()


def opened(picture: str) -> Image.Image:
    """A picture of an answer."""
    return Image.open(io.BytesIO(base64.b64decode(picture)))


class Caller:
    """Posts to /sdapi/v1 while the worker draws what is asked for."""

    def __init__(self, client: FlaskClient, worker: HandWorker) -> None:
        self.client = client
        self.worker = worker

    def post(self, path: str, body: dict[str, Any], *, key: str = DUMMY_KEY) -> TestResponse:
        """Post a body that becomes no job."""
        return self.client.post(f"/sdapi/v1/{path}", json=body, headers=basic(key))

    def drawn(self, path: str, body: dict[str, Any], *, key: str = DUMMY_KEY) -> dict[str, Any]:
        """The answer to a body that becomes a job."""
        drawing = Thread(target=self.worker.draw)
        drawing.start()
        answer = self.post(path, body, key=key)
        drawing.join()
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.get_json()
        return found


def announce(worker: HandWorker) -> None:
    """Announce a worker with a model of a known hash that is made for 256×256 pixels."""
    model = ModelFacts(name="tiny", native_size=256, hash="0123456789")
    facts = WorkerFacts(
        worker_id="by-hand",
        types=("optimized",),
        models=("tiny",),
        default_model="tiny",
        device="cpu",
        slots=1,
        model_facts=(model,),
    )
    worker.workers.announce(facts, ttl_seconds=600)


@pytest.fixture
def caller(client: FlaskClient, worker: HandWorker) -> Caller:
    announce(worker)
    return Caller(client, worker)


@pytest.fixture(scope="module")
def webui(service: str) -> Any:
    """Any: its methods return a result or, with `use_async`, a task."""
    return webuiapi.WebUIApi(
        baseurl=f"{service}/sdapi/v1", username="anybody", password=DUMMY_KEY, steps=2
    )
