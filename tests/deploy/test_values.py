"""The values of each shipped file agree with each other and with the grace of their platform."""

import re
from pathlib import Path
from typing import Any

import pytest

from api.settings import ApiSettings
from docs.generate import ENV_EXAMPLE
from jobs.settings import JobSettings
from tests.containers.compose import BUILDS
from tests.deploy.conftest import Read
from tests.deploy.test_kubernetes import FOLDER, of_kind
from tests.deploy.test_swarm import GIVEN, STACK
from worker.settings import WorkerSettings


def read(kind: type[JobSettings], environment: dict[str, Any]) -> JobSettings:
    """The settings of a container, whose values are text. Raises ValidationError."""
    given: dict[str, Any] = {
        name.lower(): str(value) for name, value in environment.items() if value
    }
    return kind(**given)


def seconds(period: str) -> float:
    """Compose's duration, such as 1m30s."""
    units = {"h": 3600, "m": 60, "s": 1}
    return sum(
        float(number) * units[unit] for number, unit in re.findall(r"([\d.]+)([hms])", period)
    )


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of this machine, and no `.env`."""
    monkeypatch.chdir(tmp_path)
    for name in {*ApiSettings.model_fields, *WorkerSettings.model_fields}:
        monkeypatch.delenv(name.upper(), raising=False)


def assert_leaves_in_time(settings: JobSettings, grace: float) -> None:
    assert isinstance(settings, WorkerSettings)
    assert settings.shutdown_grace_seconds < settings.shutdown_seconds < grace


@pytest.mark.parametrize(
    "file",
    [*(f"docker-compose.build-{build}.yml" for build in BUILDS), "docker-compose.yml", STACK],
)
def test_the_values_of_a_compose_file_agree(read_compose: Read, file: str) -> None:
    services = read_compose(file, **(GIVEN if file == STACK else {}))["services"]

    read(ApiSettings, services["api"]["environment"])
    workers = [service for name, service in services.items() if name.startswith("worker")]
    assert workers
    for worker in workers:
        settings = read(WorkerSettings, worker["environment"])
        assert_leaves_in_time(settings, seconds(worker["stop_grace_period"]))


def test_the_values_of_kubernetes_agree() -> None:
    [shared] = (
        each["data"] for each in of_kind("ConfigMap").values() if each["data"].get("LOG_FORMAT")
    )
    read_here = []
    for deployment in of_kind("Deployment").values():
        pod = deployment["spec"]["template"]["spec"]
        for container in pod["containers"]:
            own = {each["name"]: each.get("value") for each in container.get("env", ())}
            read_here.append(container["name"])
            if container["name"] == "worker":
                settings = read(WorkerSettings, shared | own)
                assert_leaves_in_time(settings, pod["terminationGracePeriodSeconds"])
            elif container["name"] == "api":
                read(ApiSettings, shared | own)
    assert {"api", "worker"} <= set(read_here)


def test_the_values_of_the_example_agree() -> None:
    values = dict(re.findall(r"^# ([A-Z_0-9]+)=(.*)$", ENV_EXAMPLE.read_text(), re.MULTILINE))
    assert values["SHUTDOWN_SECONDS"]

    for kind in (ApiSettings, WorkerSettings):
        read(
            kind,
            {name: value for name, value in values.items() if name.lower() in kind.model_fields},
        )


def test_every_platform_of_the_deploy_folder_is_read_here() -> None:
    """A file with a grace period that no test reads would go stale."""
    graces = [
        path.name
        for path in FOLDER.parent.rglob("*.yml")
        if ".venv" not in path.parts
        and re.search("stop_grace_period|terminationGracePeriod", path.read_text())
    ]
    assert sorted(graces) == [
        "stack.yml",
        "worker-optimized.yml",
        "worker-standard.yml",
        "worker.yml",
    ]
