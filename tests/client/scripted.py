"""An HTTP server with scripted answers, for faults that a real service seldom shows."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import httpx


@dataclass
class Answer:
    """One answer. `cut` closes the connection before the end of the answer."""

    code: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict[str, str])
    cut: bool = False


@dataclass(frozen=True)
class Received:
    """A received request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Script = Callable[[Received], Answer]


class Scripted:
    """Used in a `with` block. `answers` gives each answer; `received` lists all requests."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answers: Script = lambda _: Answer(404)
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                received = Received(self.command, self.path, headers, body)
                scripted.received.append(received)
                answer = scripted.answers(received)
                self.send_response(answer.code)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                length = len(answer.body) + (1000 if answer.cut else 0)
                self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(answer.body)
                self.close_connection = answer.cut

            do_GET = do_POST = _answer  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def paths(self) -> list[str]:
        """The paths of all requests, in order."""
        return [received.path.partition("?")[0] for received in self.received]


def as_json(body: Any, code: int = 200, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(code, json.dumps(body).encode(), {"Content-Type": "application/json", **named})


def stream(*messages: str, cut: bool = False) -> Answer:
    """An event stream; `cut` breaks the connection at its end."""
    text = ": comment\n\nretry: 10\n\n" + "".join(messages)
    return Answer(200, text.encode(), {"Content-Type": "text/event-stream; charset=utf-8"}, cut)


def message(number: int, event: str, data: Any) -> str:
    return f"id: {number}\nevent: {event}\ndata: {json.dumps(data)}\n\n"


def status(state: str, progress: float = 0.0, **more: Any) -> dict[str, Any]:
    """The JSON of a status, with the keys that every status has."""
    return {
        "task_id": "j",
        "State": state,
        "Status": state.lower(),
        "Progress": progress,
        "Warnings": [],
        "type": "standard",
        "active_model": "small",
        **more,
    }


def forward(request: Received, to: str) -> Answer:
    """Send a received request to a real service; returns its answer."""
    answer = httpx.request(
        request.method,
        f"{to}{request.path}",
        content=request.body,
        headers={
            name: value
            for name, value in request.headers.items()
            if name not in ("host", "connection")
        },
        trust_env=False,
        timeout=60,
    )
    return Answer(
        answer.status_code, answer.content, {"Content-Type": answer.headers["Content-Type"]}
    )
