"""The CPU stack of a copy of this folder, run by the engine that `docker` reaches."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from launcher.valkey import free_port
from tests.containers.compose import compose_command, docker, run

ROOT = Path(__file__).resolve().parents[2]
FILE = "docker-compose.build-cpu.yml"
API_IMAGE, WORKER_IMAGE = "stable-diffusion-api", "stable-diffusion-worker:cpu"
PATIENCE_SECONDS = 300
FINAL = ("SUCCESS", "FAILURE", "CANCELLED")


def copy_of_the_project(folder: Path) -> Path:
    """What the images are built from and the stack is run from, without anybody's .env."""
    for name in (
        "api",
        "jobs",
        "worker",
        "stable_diffusion",
        "templates",
        "requirements",
        "deploy",
    ):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for path in (*ROOT.glob("docker-compose*.yml"), *ROOT.glob("Dockerfile*")):
        shutil.copy(path, folder)
    shutil.copy(ROOT / ".dockerignore", folder)
    return folder


class Stack:
    """One project of Compose, by a name and on a port of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.project = f"sd-round-{os.getpid()}"
        self.port = free_port()
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}",
            timeout=60,
            trust_env=False,
            headers={"X-API-Key": "lksalsdfjliadfds"},
        )

    def compose(self, *arguments: str, file: str | None = FILE) -> str:
        """`docker-compose -f FILE ...`; file None: as without -f."""
        command = compose_command()
        assert command is not None, "no Compose 2 or newer on this machine"
        named = ["-f", file] if file else []
        environment = {"PORT": str(self.port), "COMPOSE_PROJECT_NAME": self.project}
        return run([*command, *named, *arguments], self.folder, environment)

    def containers(self, service: str) -> list[str]:
        """The ids of a service's containers, running or not."""
        return self.compose("ps", "--all", "--quiet", service).split()

    def crash(self, container: str) -> None:
        """Kill the process of a container from inside, as a crash would: its restarts go on."""
        docker("exec", container, "sh", "-c", "kill -9 $(cat /proc/1/task/1/children)")

    def post(self, **request: Any) -> str:
        """Submit a request to /generate; returns the job's id."""
        answer = self.client.post("/generate", json={"prompt": "a red dragon", **request})
        assert answer.status_code == 202, answer.text
        return answer.json()["task_id"]

    def status(self, job: str) -> dict[str, Any]:
        """How a job is doing; while Redis is away, nothing."""
        try:
            answer = self.client.get(f"/status/{job}", params={"images": "false"})
        except httpx.TransportError:
            return {"State": "unknown"}
        return answer.json() if answer.status_code == 200 else {"State": "unknown"}

    def succeed(self, *jobs: str) -> None:
        """Wait until all of these jobs have ended, and see that each has succeeded."""
        until(lambda: all(self.status(job)["State"] in FINAL for job in jobs), "the jobs to end")
        for job in jobs:
            assert self.status(job)["State"] == "SUCCESS", self.status(job)

    def workers_ready(self) -> int:
        """How many workers the API knows to be alive."""
        try:
            answer = self.client.get("/readyz")
        except httpx.TransportError:
            return 0
        return answer.json().get("workers", 0) if answer.status_code == 200 else 0


def until(true: Callable[[], bool], what: str) -> None:
    """Wait for something. Raises AssertionError when it does not come about."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline, f"waited {PATIENCE_SECONDS} s in vain for {what}"
        time.sleep(0.3)
