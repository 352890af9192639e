"""A receiver of webhooks on the loopback interface that records them."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@dataclass
class Receiver:
    """Responds with the next of `codes`, and with 204 after the last.

    Verifies the signature of every message. Does not respond before `released` is set.

    Attributes:
        messages: those it has accepted.
        ids: of all requests, the refused ones included.
        requests: released once per request.
    """

    url: str
    codes: list[int] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    requests: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def events(self) -> list[str]:
        return [message["type"] for message in self.messages]


@contextmanager
def receiving(
    *codes: int, hangs: bool = False, tls: ssl.SSLContext | None = None, secret: str = SECRET
) -> Iterator[Receiver]:
    """A receiver for the length of a with block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            message = Webhook(secret).verify(body, dict(self.headers.items()))
            receiver.ids.append(self.headers["webhook-id"])
            receiver.requests.release()
            receiver.released.wait(240)
            code = receiver.codes.pop(0) if receiver.codes else 204
            if code == 204:
                receiver.messages.append(json.loads(body))
                assert message == receiver.messages[-1]
            self.send_response(code)
            self.send_header("Location", "http://127.0.0.1:9/elsewhere")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    scheme = "https" if tls else "http"
    receiver = Receiver(f"{scheme}://127.0.0.1:{server.server_port}/hook?of=mine", list(codes))
    if not hangs:
        receiver.released.set()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
