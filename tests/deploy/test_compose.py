"""The compose files of the three builds: common parts, differences, isolation."""

import re
from itertools import pairwise
from typing import Any

import pytest

from api.settings import ApiSettings
from docs.compose_variables import ComposeVariables
from docs.generate import ENV_EXAMPLE, ROOT
from tests.containers.compose import BUILDS
from tests.deploy.conftest import Read
from worker.settings import WorkerSettings

FILES = {build: f"docker-compose.build-{build}.yml" for build in BUILDS}
OUTPUTS = "/queue/stable-diffusion-repo"
OURS = ("secrets", "redis", "api", "worker")


@pytest.fixture(params=BUILDS)
def build(request: pytest.FixtureRequest, read_compose: Read) -> dict[str, Any]:
    """One of the three builds."""
    return read_compose(FILES[request.param])


def test_every_container_is_read_only_and_without_rights(build: dict[str, Any]) -> None:
    for name, service in build["services"].items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not {"privileged", "cap_add", "user_root"} & set(service), name
        assert service.get("user") != "root", name


def test_every_container_has_limits_for_memory_and_processes(build: dict[str, Any]) -> None:
    for name, service in build["services"].items():
        assert int(service["mem_limit"]) > 0, name
        assert 0 < service["pids_limit"] <= 4096, name


def test_redis_is_full_before_its_container_is(read_compose: Read) -> None:
    """A rewrite of its file may take as much memory again as the records have."""
    redis = read_compose(FILES["cpu"])["services"]["redis"]
    [full] = [after for option, after in pairwise(redis["command"]) if option == "--maxmemory"]

    assert full == "512mb"
    assert int(redis["mem_limit"]) >= 2 * 512 * 1024**2


def test_memory_limits_are_settings(read_compose: Read) -> None:
    given = {"WORKER_MEMORY": "64g", "API_MEMORY": "2g", "REDIS_MEMORY": "3g"}
    services = read_compose(FILES["gpu"], **given)["services"]

    for variable, limit in given.items():
        service = services[variable.split("_")[0].lower()]
        assert int(service["mem_limit"]) == int(limit[:-1]) * 1024**3


def test_only_the_proxy_and_monitoring_are_published_and_only_on_this_machine(
    build: dict[str, Any],
) -> None:
    published = {
        name: [(port.get("host_ip"), port["target"]) for port in service.get("ports", ())]
        for name, service in build["services"].items()
    }

    assert published["proxy"] == [("127.0.0.1", 8080)]
    assert published["api"] == [("127.0.0.1", 5002)]
    for name in ("secrets", "redis", "worker", "prometheus"):
        assert published[name] == [], name
    assert {address for ports in published.values() for address, _ in ports} == {"127.0.0.1"}
    assert set(build["services"]["redis"]["networks"]) == {"inside"}
    assert build["networks"]["inside"]["internal"]


def test_api_host_opens_the_api_to_the_network(read_compose: Read) -> None:
    """But not its monitoring."""
    given = {"API_HOST": "10.0.0.7", "PORT": "8000", "MONITORING_PORT": "8001"}
    services = read_compose(FILES["cpu"], **given)["services"]
    ports = [*services["proxy"]["ports"], *services["api"]["ports"]]

    assert [(port["host_ip"], port["published"], port["target"]) for port in ports] == [
        ("10.0.0.7", "8000", 8080),
        ("127.0.0.1", "8001", 5002),
    ]
    environment = services["api"]["environment"]
    assert (environment["PORT"], environment["MONITORING_PORT"]) == ("5001", "5002")


def test_redis_has_a_password_persists_and_never_evicts(build: dict[str, Any]) -> None:
    redis = build["services"]["redis"]
    options = redis["command"]

    assert options[:2] == ["redis-server", "/run/secrets/redis.conf"]
    assert options[options.index("--appendonly") + 1] == "yes"
    assert options[options.index("--maxmemory-policy") + 1] == "noeviction"
    assert ("redis", "/data") in _mounts(redis)
    assert "REDISCLI_AUTH" in redis["healthcheck"]["test"][1]
    assert redis["depends_on"]["secrets"]["condition"] == "service_completed_successfully"


def test_workers_and_api_share_the_volume_of_pictures(build: dict[str, Any]) -> None:
    for name in ("api", "worker"):
        service = build["services"][name]
        assert ("outputs", OUTPUTS) in _mounts(service)
        assert service["environment"]["OUTPUTS"] == OUTPUTS
    assert ("models", "/queue/models") in _mounts(build["services"]["worker"])


def test_outputs_may_be_on_s3(read_compose: Read) -> None:
    services = read_compose(FILES["gpu"], OUTPUTS="s3://bucket/pictures")["services"]

    for name in ("api", "worker"):
        assert services[name]["environment"]["OUTPUTS"] == "s3://bucket/pictures"


def test_the_builds_differ_only_in_device_types_and_gpu(read_compose: Read) -> None:
    builds = {name: read_compose(file) for name, file in FILES.items()}
    differences = {name: _pop_differences(build) for name, build in builds.items()}

    assert differences == {
        "cpu": ("cpu", "standard,optimized", "", None),
        "gpu": ("cuda", "standard", "", ["gpu"]),
        "gpu-optimized": ("cuda", "optimized", "", ["gpu"]),
    }
    assert builds["cpu"] == builds["gpu"] == builds["gpu-optimized"]


@pytest.mark.parametrize("build", FILES)
def test_torch_index_url_sets_the_index(read_compose: Read, build: str) -> None:
    index = "http://127.0.0.1:9/whl"
    worker = read_compose(FILES[build], TORCH_INDEX_URL=index)["services"]["worker"]

    assert worker["build"]["args"]["TORCH_INDEX_URL"] == index


def test_the_default_file_is_the_cpu_build(read_compose: Read) -> None:
    """`docker-compose down` must stop what `docker-compose -f ... up -d` started."""
    assert read_compose("docker-compose.yml") == read_compose(FILES["cpu"])


def test_development_mounts_the_code_of_this_folder(read_compose: Read) -> None:
    services = read_compose("docker-compose.yml", "docker-compose.development.yml")["services"]

    mounted = {
        (volume["source"], volume["target"])
        for name in ("api", "worker")
        for volume in services[name]["volumes"]
        if volume["type"] == "bind"
    }
    assert (str(ROOT / "worker"), "/queue/worker") in mounted
    assert (str(ROOT / "api"), "/api/api") in mounted
    assert all((ROOT / target.split("/")[-1]).is_dir() for _, target in mounted)


def test_the_environment_of_a_service_is_made_of_settings(build: dict[str, Any]) -> None:
    withheld = {"FLOWER_PASSWORD", "GRAFANA_PASSWORD", "REDIS_PASSWORD"}
    for name, kind in (("api", ApiSettings), ("worker", WorkerSettings)):
        environment = build["services"][name]["environment"]
        settings = {setting.upper() for setting in kind.model_fields}
        assert withheld <= set(environment)
        empty = {variable for variable, value in environment.items() if not value}
        assert set(environment) - empty <= settings, name


def test_a_worker_does_not_get_the_api_keys(read_compose: Read) -> None:
    environment = read_compose(FILES["cpu"])["services"]["worker"]["environment"]

    assert environment["API_KEYS"] == environment["ADMIN_KEYS"] == ""


def test_every_variable_of_the_compose_files_is_documented() -> None:
    listed = set(re.findall(r"^# ([A-Z_]+)=", ENV_EXAMPLE.read_text(), re.MULTILINE))
    used: dict[str, set[str]] = {}
    for path in (*ROOT.glob("docker-compose*.yml"), *ROOT.glob("deploy/compose/*.yml")):
        for name, default in re.findall(r"\$\{([A-Z_]+):?-?([^}]*)\}", path.read_text()):
            used.setdefault(name, set()).add(default)

    assert set(used) <= listed
    own = {name.upper(): field for name, field in ComposeVariables.model_fields.items()}
    assert set(own) <= set(used)
    for name in set(own):
        assert used[name] == {str(own[name].default)}, name


def test_no_file_contains_a_secret() -> None:
    for path in (*ROOT.glob("docker-compose*.yml"), *ROOT.glob("deploy/**/*.yml")):
        for name, value in re.findall(r"^ *(\w*PASSWORD): *(\S+)", path.read_text(), re.M):
            assert value.startswith(("${", '""')), (path.name, name)
        assert "0.0.0.0" not in path.read_text(), path.name
        assert "C_FORCE_ROOT" not in path.read_text(), path.name


def _mounts(service: dict[str, Any]) -> set[tuple[str, str]]:
    return {(volume["source"], volume["target"]) for volume in service["volumes"]}


def _pop_differences(build: dict[str, Any]) -> tuple[str, str, str, list[str] | None]:
    worker = build["services"]["worker"]
    device, types = worker["environment"].pop("DEVICE"), worker["environment"].pop("JOB_TYPES")
    torch = worker["build"]["args"].pop("TORCH_INDEX_URL")
    del worker["image"]
    resources = worker.pop("deploy", None)
    devices = resources["resources"]["reservations"]["devices"] if resources else None
    return device, types, torch, devices[0]["capabilities"] if devices else None
