"""The Swarm stack of docs/scaling.md."""

import shutil
import subprocess
from typing import Any

import pytest
import yaml

from docs.generate import ROOT
from jobs.names import JOB_TYPES
from tests.containers.compose import docker
from tests.deploy.conftest import Read

STACK = "deploy/swarm/stack.yml"
GIVEN = {"REGISTRY": "registry.example", "OUTPUTS": "s3://bucket/pictures"}


@pytest.fixture
def stack(read_compose: Read) -> dict[str, Any]:
    """The stack, read by Compose."""
    return read_compose(STACK, **GIVEN)


def test_docker_stack_accepts_the_file() -> None:
    """The schema of `docker stack deploy` is narrower than Compose's."""
    if shutil.which("docker") is None or _has_no_stack_config():
        pytest.skip("no docker client with `docker stack config`")

    resolved = yaml.safe_load(docker("stack", "config", "-c", STACK, folder=ROOT, **GIVEN))

    assert set(resolved["services"]) == {
        "redis",
        "api",
        "proxy",
        *(f"worker-{kind}" for kind in JOB_TYPES),
    }


def test_each_type_has_workers_with_a_gpu_each(stack: dict[str, Any]) -> None:
    for job_type in JOB_TYPES:
        worker = stack["services"][f"worker-{job_type}"]
        assert worker["environment"]["JOB_TYPES"] == job_type
        [reserved] = worker["deploy"]["resources"]["reservations"]["generic_resources"]
        assert reserved["discrete_resource_spec"] == {"kind": "NVIDIA-GPU", "value": 1}


def test_outputs_are_on_shared_storage(stack: dict[str, Any]) -> None:
    for name, service in stack["services"].items():
        if name not in ("redis", "proxy"):
            assert service["environment"]["OUTPUTS"] == GIVEN["OUTPUTS"]


def test_every_service_has_limits_for_memory_and_processes(stack: dict[str, Any]) -> None:
    for name, service in stack["services"].items():
        limits = service["deploy"]["resources"]["limits"]
        assert int(limits["memory"]) > 0, name
        assert 0 < limits["pids"] <= 4096, name
    redis = stack["services"]["redis"]
    assert "512mb" in redis["command"]
    assert int(redis["deploy"]["resources"]["limits"]["memory"]) >= 2 * 512 * 1024**2


def test_monitoring_is_not_published(stack: dict[str, Any]) -> None:
    ports = [
        port["target"]
        for service in stack["services"].values()
        for port in service.get("ports", ())
    ]

    assert ports == [8080]


def test_secrets_come_from_the_swarm_and_redis_is_not_published(stack: dict[str, Any]) -> None:
    assert all(secret["external"] for secret in stack["secrets"].values())
    assert [name for name, service in stack["services"].items() if service.get("ports")] == [
        "proxy"
    ]
    command = stack["services"]["redis"]["command"]
    assert command[1] == "/run/secrets/redis.conf"
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"
    for service in stack["services"].values():
        assert service["read_only"] and service["cap_drop"] == ["ALL"]


def _has_no_stack_config() -> bool:
    command = ["docker", "stack", "config", "--help"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return "Outputs the final config file" not in result.stdout
