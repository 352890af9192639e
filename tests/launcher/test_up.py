"""`make up`: the service starts, is supervised, and stops."""

import os
import signal
import socket
import time
from pathlib import Path

import httpx
import pytest
import redis

from launcher.addresses import DUMMY_KEY
from tests.launcher.conftest import Launch, valkey_url
from tests.launching import Launcher
from tests.ports import free_port
from tests.processes import eventually, marked

pytestmark = pytest.mark.service

END_SECONDS = 10


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def up(launch: Launch, port: int, tmp_path: Path) -> Launcher:
    """The service, ready. Its default model is a file that no test loads."""
    models = tmp_path / "models"
    models.mkdir()
    (models / "unread.safetensors").touch()
    launcher = launch(
        "up", PORT=str(port), DEFAULT_MODEL="unread", MODELS_DIR=str(models), PRELOAD="false"
    )
    launcher.wait_until_it_says("ready at")
    return launcher


def process_of(mark: str, words: str) -> int:
    """The process with these words in its command; of parent and children the parent."""
    found = {pid for pid, command in marked(mark).items() if words in command}
    return next(pid for pid in found if parent_of(pid) not in found)


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


# SIGTERM stops a service with a process that hangs, below
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_everything_within_ten_seconds(
    up: Launcher, port: int, mark: str, number: signal.Signals
) -> None:
    ready = httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False, timeout=60)
    assert ready.status_code == 200
    assert len(marked(mark)) >= 5  # launcher, Valkey, worker, gunicorn and its worker
    began = time.monotonic()

    up.process.send_signal(number)

    assert up.wait() == 0
    assert time.monotonic() - began < END_SECONDS * up.slowness
    assert not marked(mark)


def test_a_process_that_hangs_is_killed(up: Launcher, mark: str) -> None:
    os.kill(process_of(mark, "-m worker"), signal.SIGSTOP)
    began = time.monotonic()

    up.process.send_signal(signal.SIGTERM)

    assert up.wait() == 0
    assert time.monotonic() - began < END_SECONDS * up.slowness
    assert not marked(mark)


@pytest.mark.parametrize(("victim", "name"), [("gunicorn", "api"), ("valkey", "valkey")])
def test_a_dead_process_is_reported_in_one_line_and_stops_the_others(
    up: Launcher, mark: str, victim: str, name: str
) -> None:
    os.kill(process_of(mark, victim), signal.SIGKILL)

    assert up.wait() == 1
    assert up.said.rstrip().endswith(f"\nerror: {name} was killed by SIGKILL")
    assert not marked(mark)


def test_a_dead_worker_is_reported_and_restarted(
    launch: Launch, port: int, mark: str, tmp_path: Path
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "unread.safetensors").touch()
    up = launch(
        "up",
        PORT=str(port),
        WORKERS="3",
        DEFAULT_MODEL="unread",
        MODELS_DIR=str(tmp_path / "models"),
        PRELOAD="false",
    )
    up.wait_until_it_says("ready at")
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=120) as client:
        before = known_workers(client)
        assert len(before) == 3

        os.kill(process_of(mark, "--hostname worker-2"), signal.SIGKILL)

        up.wait_until_it_says("worker-2 was killed by SIGKILL; restarting in 1 s")
        # the dead worker's heartbeat expires, and the new worker sends one
        assert eventually(lambda: len(known_workers(client) & before) == 2, 240), up.said
        assert eventually(lambda: len(known_workers(client) - before) == 1, 240), up.said
        assert client.get("/readyz").status_code == 200
    assert up.process.poll() is None


def known_workers(client: httpx.Client) -> set[str]:
    """The ids of the workers that the API knows."""
    return {worker["worker"] for worker in client.get("/workers").json()["workers"]}


def test_killing_the_launcher_leaves_nothing_running(up: Launcher) -> None:
    up.process.kill()
    up.wait()
    # the fixture `mark` fails if a process is left


def test_a_waiting_job_survives_the_kill_of_all_processes(
    launch: Launch, port: int, mark: str
) -> None:
    first = launch("up", PORT=str(port), PRELOAD="false")
    first.wait_until_it_says("ready at")
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as client:
        body = {"prompt": "a cat", "H": 128, "W": 128, "ddim_steps": 20, "api_key": DUMMY_KEY}
        location = client.post("/generate", json=body).headers["Location"]
        with redis.Redis.from_url(valkey_url(mark)) as valkey:  # a slow disk defers a write
            assert eventually(lambda: not valkey.info("persistence")["aof_buffer_length"])
        first.process.kill()
        assert eventually(lambda: not marked(mark))

        launch("up", PORT=str(port)).wait_until_it_says("ready at")

        assert eventually(lambda: client.get(location).headers["Content-Type"] == "image/png", 500)


def test_a_port_in_use_is_reported_in_one_line(launch: Launch, port: int) -> None:
    with socket.create_server(("127.0.0.1", port)):
        launcher = launch("up", PORT=str(port))

        assert launcher.wait() == 1
    assert launcher.said.startswith(f"error: port {port} is in use")
    assert launcher.said.count("\n") == 1


def test_a_second_service_on_the_same_data_is_refused(up: Launcher, launch: Launch) -> None:
    second = launch("up", PORT=str(free_port()))

    assert second.wait() == 1
    assert "in use by another running service" in second.said
    assert second.said.count("\n") == 1


def test_a_missing_model_is_reported_in_one_line(launch: Launch, port: int) -> None:
    launcher = launch("up", PORT=str(port), DEFAULT_MODEL="sd99")

    assert launcher.wait() == 1
    last = launcher.said.rstrip().rsplit("\n", 1)[1]
    assert last.startswith("error: the default model 'sd99' is not installed; installed: ")


def test_an_invalid_setting_is_reported_in_one_line(launch: Launch) -> None:
    launcher = launch("up", PORT="many")

    assert launcher.wait() == 1
    assert launcher.said.startswith("error: wrong settings: PORT='many': ")
    assert launcher.said.count("\n") == 1


def test_an_invalid_setting_of_a_worker_is_reported_in_one_line(launch: Launch, port: int) -> None:
    launcher = launch("up", PORT=str(port), CONCURRENCY="-1")

    assert launcher.wait() == 1
    last = launcher.said.rstrip().rsplit("\n", 1)[1]
    assert last.startswith("error: worker-1 ended")
    assert "CONCURRENCY" in last
