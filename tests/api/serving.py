"""The API as the launcher starts it: gunicorn, in a process of its own."""

import os
import signal
import socket
import subprocess
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from api.auth import DUMMY_KEY
from api.settings import ApiSettings
from launcher.stack import API
from tests.launching import START_SECONDS
from tests.ports import free_port
from tests.processes import eventually


def settings_of(
    server_url: str, folder: Path, *, keys: tuple[str, ...] = (DUMMY_KEY,)
) -> ApiSettings:
    """The settings of a served API, for a test that works on its records and its store."""
    return ApiSettings(
        celery_broker_url=server_url,
        celery_result_backend=server_url,
        data_dir=folder,
        outputs=str(folder / "outputs"),
        api_keys=keys,
    )


def served(settings: ApiSettings, log: str = "log", **more: str) -> "RunningApi":
    """An API with these settings, and more of them by their variables."""
    keys = "" if settings.api_keys == (DUMMY_KEY,) else ",".join(settings.api_keys)
    environment = {
        "CELERY_BROKER_URL": settings.celery_broker_url,
        "CELERY_RESULT_BACKEND": settings.celery_result_backend,
        "DATA_DIR": str(settings.data_dir),
        "OUTPUTS": settings.outputs,
        "API_KEYS": keys,
        "API_KEYS_FILE": "",
        **more,
    }
    return RunningApi(environment, settings.data_dir / log)


class RunningApi:
    """A gunicorn that answers. Used in a `with` block.

    Args:
        repository: where its code lies; None: here.
    """

    def __init__(
        self, environment: dict[str, str], log: Path, repository: Path | None = None
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = log
        with log.open("w") as output:
            self._process = subprocess.Popen(
                API,
                cwd=repository,
                env={**os.environ, **environment, "PORT": str(self.port)},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> "RunningApi":
        self.start()
        return self

    def start(self) -> None:
        """Returns when it answers."""
        try:
            assert eventually(self._answers, START_SECONDS), self.said
        except BaseException:
            self.kill()
            raise

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(120)
        except BaseException:
            self.kill()
            raise

    def terminate(self) -> None:
        """Ask it to stop. Returns at once."""
        self._process.terminate()

    def kill(self) -> None:
        """End gunicorn and its workers, now."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    @property
    def process_group(self) -> int:
        """The id of the group of all its processes."""
        return self._process.pid

    @property
    def worker_pid(self) -> int:
        """The process that answers requests; gunicorn itself is its parent."""
        pid = self._process.pid
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])

    @property
    def said(self) -> str:
        """All it has written."""
        return self._log.read_text()

    def connect(self, address: str = "127.0.0.1", port: int | None = None) -> socket.socket:
        """A connection from an address, on which anything can be sent; `port`: of its proxy."""
        return socket.create_connection(
            ("127.0.0.1", port or self.port), timeout=60, source_address=(address, 0)
        )

    def health(self, timeout: float) -> int:
        """The status code of /healthz, on a connection of its own.

        Without httpx, which reads all certificates of authorities for each: 20 ms.
        """
        connection = HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        with closing(connection):
            connection.request("GET", "/healthz")
            return connection.getresponse().status

    def _answers(self) -> bool:
        assert self._process.poll() is None, self.said
        try:
            return self.health(5) == 200
        except (OSError, HTTPException):
            return False


def request_bytes(body: bytes, *headers: str) -> bytes:
    """A POST /generate with a key, as it is sent."""
    lines = [
        "POST /generate HTTP/1.1",
        "Host: localhost",
        "Content-Type: application/json",
        f"X-API-Key: {DUMMY_KEY}",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def everything(connection: socket.socket) -> bytes:
    """What comes until the server closes the connection."""
    received = bytearray()
    while piece := connection.recv(1 << 20):
        received += piece
    return bytes(received)


def status_of(answer: bytes) -> int:
    """The code in an answer's first line."""
    return int(answer.split(b" ", 2)[1])
