"""Progress bars on a terminal, and Ctrl-C at any time."""

import json
import os
import pty
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from sd_client import Client, JobCancelled
from tests.client.running import SD, environment, started
from tests.client.scripted import (
    Answer,
    Received,
    Scripted,
    as_json,
    forward,
    message,
    status,
    stream,
)
from tests.processes import eventually


def terminal_output(address: str, *arguments: str, cwd: Path, **more: str) -> str:
    """Everything that the command writes to a terminal on stderr."""
    ours, theirs = pty.openpty()
    variables = environment(address, TERM="xterm-256color", **more)
    process = subprocess.Popen(
        [*SD, *arguments], cwd=cwd, env=variables, stdout=subprocess.PIPE, stderr=theirs
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        seen += piece
    os.close(ours)
    process.communicate(timeout=60)
    return seen.decode()


@pytest.mark.service
def test_a_terminal_shows_a_bar_with_steps_and_seconds_left(
    small_service: str, tmp_path: Path
) -> None:
    arguments = ("generate", "x", "--size", "64x64", "--steps", "30", "-o", "x.png")

    seen = terminal_output(small_service, *arguments, cwd=tmp_path)

    assert "of 30" in seen
    assert "s left" in seen
    assert "\x1b[" in seen
    assert (tmp_path / "x.png").exists()
    quiet = (*arguments, "--steps", "2", "-q")
    assert terminal_output(small_service, *quiet, cwd=tmp_path) == ""


def test_without_a_terminal_each_change_is_a_line(scripted: Scripted, tmp_path: Path) -> None:
    messages = [
        message(1, "queued", status("PENDING", Status="waiting, place 2", queue_place=2)),
        message(2, "queued", status("PENDING", Status="waiting, place 1", queue_place=1)),
        message(3, "loading", status("LOADING", Status="loading the model small")),
        message(4, "step", status("PROGRESS", 0.1, Status="drawing, step 1 of 9")),
        message(5, "step", status("PROGRESS", 0.2, Status="drawing, step 2 of 9")),
        message(6, "failed", status("FAILURE", error="no [room]", code="out_of_memory")),
    ]
    scripted.answers = lambda request: (
        as_json({"task_id": "j", "active_model": "small", "Warnings": ["no cuda"]}, 202)
        if request.method == "POST"
        else stream(*messages)
    )

    running = started(scripted.url, "generate", "x", cwd=tmp_path)
    _, stderr = running.communicate(timeout=120)

    assert running.returncode == 3
    assert stderr.splitlines() == [
        "warning: no cuda",
        "waiting, place 2",
        "waiting, place 1",
        "loading the model small",
        "drawing",
        "error: the job failed: no [room]",
    ]


def test_ctrl_c_before_the_answer_cancels_the_job(scripted: Scripted, tmp_path: Path) -> None:
    pressed = threading.Event()

    def answer(request: Received) -> Answer:
        if request.path == "/generate":
            assert pressed.wait(120)
            return as_json({"task_id": "j", "active_model": "small", "Warnings": []}, 202)
        return as_json({"task_id": "j", "State": "CANCELLED", "Status": "cancelled"})

    scripted.answers = answer
    running = started(scripted.url, "generate", "x", "--json", cwd=tmp_path)
    assert eventually(lambda: "/generate" in scripted.paths())

    running.send_signal(signal.SIGINT)
    assert not eventually(lambda: running.poll() is not None, 0.5)
    pressed.set()
    stdout, _ = running.communicate(timeout=120)

    assert running.returncode == 130
    assert scripted.paths() == ["/generate", "/cancel/j"]
    assert json.loads(stdout) == {"error": "interrupted", "task_id": "j"}


@pytest.mark.service
def test_ctrl_c_cancels_every_job_of_a_benchmark(
    small_service: str, client: Client, scripted: Scripted, tmp_path: Path
) -> None:
    jobs: list[str] = []

    def forwarded(request: Received) -> Answer:
        if request.path.startswith("/events/"):
            return Answer(404)
        answer = forward(request, small_service)
        if request.path == "/generate":
            jobs.append(json.loads(answer.body)["task_id"])
        return answer

    scripted.answers = forwarded
    arguments = ("-N", "9", "-C", "3", "--no-warm-up", "--size", "64x64", "--steps", "900")
    running = started(scripted.url, "bench", *arguments, cwd=tmp_path)
    assert eventually(lambda: len(jobs) == 3)

    running.send_signal(signal.SIGINT)
    running.communicate(timeout=120)

    assert running.returncode == 130
    for job in jobs:
        with pytest.raises(JobCancelled):
            client.job(job).wait()


@pytest.mark.service
def test_keyboard_interrupt_in_python_cancels_the_job(client: Client) -> None:
    jobs: list[str] = []

    def press(event: object) -> None:
        jobs.append(event.job_id)  # pyright: ignore[reportAttributeAccessIssue]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        client.generate("x", size="64x64", steps=900, on_event=press)

    with pytest.raises(JobCancelled):
        client.job(jobs[0]).wait()
