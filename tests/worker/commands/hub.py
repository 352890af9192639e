"""A hub on the loopback interface: as much of its protocol as fetching a file takes."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Hub:
    """Files by `repository/path`.

    Attributes:
        breaks_after: bytes after which the next download breaks off; later ones are refused.
        refuses: whether downloads are refused.
        ranges: the requested byte ranges.
        says: a checksum that is stated instead of the true one.
    """

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.breaks_after: int | None = None
        self.refuses = False
        self.ranges: list[str] = []
        self.says = ""
        self.url = ""

    def checksum(self, name: str) -> str:
        return self.says or hashlib.sha256(self.files[name]).hexdigest()


@contextmanager
def running(hub: Hub) -> Iterator[Hub]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            match = re.fullmatch(r"/api/models/(.+)/paths-info/main", self.path)
            assert match
            repository = match[1]
            known = [name for name in hub.files if name.startswith(f"{repository}/")]
            if not known:
                self._answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
                return
            if body.startswith(b"{"):
                requested = json.loads(body)["paths"]
            else:
                requested = re.findall(r"paths=([^&]+)", body.decode())
            found = [name for name in known if name.removeprefix(f"{repository}/") in requested]
            infos = [
                {
                    "type": "file",
                    "path": name.removeprefix(f"{repository}/"),
                    "oid": "0" * 40,
                    "size": len(hub.files[name]),
                    "lfs": {
                        "oid": hub.checksum(name),
                        "size": len(hub.files[name]),
                        "pointerSize": 135,
                    },
                }
                for name in found
            ]
            self._answer(200, json.dumps(infos).encode(), {"Content-Type": "application/json"})

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            name = self.path.lstrip("/").replace("/resolve/main/", "/")
            content = hub.files[name]
            headers = {
                "ETag": f'"{hub.checksum(name)}"',
                "X-Repo-Commit": "1" * 40,
                "Accept-Ranges": "bytes",
            }
            requested = self.headers.get("Range")
            if self.command == "GET":
                hub.ranges.append(requested or "")
            if hub.refuses:
                self._answer(503, b"", {})
            elif requested:
                start = int(requested.removeprefix("bytes=").partition("-")[0])
                headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
                self._answer(206, content[start:], headers)
            else:
                self._answer(200, content, headers)

        def _answer(self, code: int, content: bytes, headers: dict[str, str]) -> None:
            self.send_response(code)
            for header in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(*header)
            self.end_headers()
            if self.command == "HEAD":
                return
            if self.command == "GET" and hub.breaks_after is not None:
                self.wfile.write(content[: hub.breaks_after])
                hub.breaks_after, hub.refuses = None, True
                self.close_connection = True
                return
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
