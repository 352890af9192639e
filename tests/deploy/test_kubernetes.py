"""The manifests are valid for the schemas of Kubernetes and KEDA, and consistent."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from cloudcoil.models.keda import v1alpha1 as keda

from api import create_app
from api.settings import ApiSettings
from docs.generate import ROOT
from jobs import keys
from jobs.names import JOB_TYPES
from worker.settings import WorkerSettings

PROXY = "../proxy"
FOLDER = ROOT / "deploy" / "kubernetes"
KUBERNETES = "1.31"
KEDA = {"ScaledObject": keda.ScaledObject, "TriggerAuthentication": keda.TriggerAuthentication}
SECRET_KEYS = {"celery_broker_url", "api_keys", "redis_password"}

Manifest = dict[str, Any]


def manifests() -> Iterator[Manifest]:
    """All objects that `kubectl apply -k` creates."""
    kustomization = yaml.safe_load((FOLDER / "kustomization.yml").read_text())
    for name in kustomization["resources"]:
        if name == PROXY:  # it makes the ConfigMap of the proxy
            continue
        yield from yaml.safe_load_all((FOLDER / name).read_text())


def of_kind(kind: str) -> dict[str, Manifest]:
    return {each["metadata"]["name"]: each for each in manifests() if each["kind"] == kind}


@pytest.mark.parametrize(
    "manifest", list(manifests()), ids=lambda m: f"{m['kind']}-{m['metadata']['name']}"
)
def test_a_manifest_is_valid(manifest: Manifest) -> None:
    if model := KEDA.get(manifest["kind"]):
        # The models drop unknown keys, so a round trip must change nothing.
        read = model.model_validate(manifest)
        assert _plain(read.model_dump(by_alias=True, exclude_unset=True)) == manifest
    else:
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


@pytest.mark.parametrize("kind", ["Deployment", "ScaledObject"])
def test_a_misspelt_manifest_is_not_valid(kind: str) -> None:
    manifest = next(iter(of_kind(kind).values()))
    manifest["spec"]["replica"] = 2

    with pytest.raises((AssertionError, kubernetes_validate.ValidationError)):
        test_a_manifest_is_valid(manifest)


def test_every_file_is_applied_or_belongs_to_the_chart() -> None:
    kustomization = yaml.safe_load((FOLDER / "kustomization.yml").read_text())
    files = {path.name for path in FOLDER.glob("*.yml")}

    applied = {*kustomization["resources"]} - {PROXY}
    assert files == {*applied, "kustomization.yml", "redis-values.yml"}
    named = {image["name"] for image in kustomization["images"]}
    assert named == {
        container["image"]
        for each in of_kind("Deployment").values()
        for container in _containers(each)
    }


def test_each_type_has_workers_that_scale_with_its_queue() -> None:
    deployments, scaled = of_kind("Deployment"), of_kind("ScaledObject")

    for job_type in JOB_TYPES:
        worker = _container(deployments[f"worker-{job_type}"])
        environment = {each["name"]: each["value"] for each in worker["env"]}
        assert environment["JOB_TYPES"] == job_type
        scaling = scaled[f"worker-{job_type}"]["spec"]
        assert scaling["scaleTargetRef"]["name"] == f"worker-{job_type}"
        assert scaling["triggers"][0]["metadata"]["listName"] == keys.queue(job_type)
        assert scaling["minReplicaCount"] >= 1


def test_an_api_without_workers_stays_in_service(redis_url: str, tmp_path: Path) -> None:
    probe = _container(of_kind("Deployment")["api"])["readinessProbe"]["httpGet"]
    settings = ApiSettings(
        celery_broker_url=redis_url, celery_result_backend=redis_url, outputs=str(tmp_path)
    )
    app = create_app(settings)

    assert app.test_client().get(probe["path"]).status_code == 200
    assert app.test_client().get("/readyz?for=jobs").status_code == 503


def test_monitoring_is_scraped_on_a_port_that_the_service_does_not_have() -> None:
    pod = of_kind("Deployment")["api"]["spec"]["template"]
    ports = {
        port["name"]: port["containerPort"]
        for container in pod["spec"]["containers"]
        for port in container["ports"]
    }
    [port] = of_kind("Service")["api"]["spec"]["ports"]

    image = (ROOT / "Dockerfile.api").read_text()
    assert f"MONITORING_PORT={ports['monitoring']}\n" in image
    assert pod["metadata"]["annotations"]["prometheus.io/port"] == str(ports["monitoring"])
    assert ports[port["targetPort"]] != ports["monitoring"]


def test_pods_are_confined_and_let_jobs_finish() -> None:
    for name, deployment in of_kind("Deployment").items():
        pod = deployment["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsUser"] == 10001
        assert pod["securityContext"]["runAsNonRoot"]
        for container in _containers(deployment):
            confined = container["securityContext"]
            assert confined["readOnlyRootFilesystem"]
            assert confined["capabilities"] == {"drop": ["ALL"]}
            assert not confined["allowPrivilegeEscalation"]
            assert container["resources"]["limits"]["memory"]
        if name != "api":
            environment = {each["name"]: each["value"] for each in _container(deployment)["env"]}
            grace = int(environment["SHUTDOWN_GRACE_SECONDS"])
            assert pod["terminationGracePeriodSeconds"] > grace


def test_referenced_objects_and_settings_exist() -> None:
    claims, maps = of_kind("PersistentVolumeClaim"), of_kind("ConfigMap")
    settings = {
        name.upper() for kind in (ApiSettings, WorkerSettings) for name in kind.model_fields
    }

    for deployment in of_kind("Deployment").values():
        container = _container(deployment)
        volumes = {each["name"]: each for each in deployment["spec"]["template"]["spec"]["volumes"]}
        mounted = {
            each["name"]
            for container in _containers(deployment)
            for each in container["volumeMounts"]
        }
        assert mounted == set(volumes)
        for volume in volumes.values():
            if claim := volume.get("persistentVolumeClaim"):
                assert claim["claimName"] in claims
            if secret := volume.get("secret"):
                assert {item["key"] for item in secret["items"]} <= SECRET_KEYS
        for source in container["envFrom"]:
            if named := source.get("configMapRef"):
                assert set(maps[named["name"]]["data"]) <= settings
        assert {each["name"] for each in container.get("env", ())} <= settings


def test_pods_mount_their_volumes_at_the_paths_of_the_images() -> None:
    api, worker = ((ROOT / f"Dockerfile.{name}").read_text() for name in ("api", "worker"))
    assert "OUTPUTS=/queue/stable-diffusion-repo " in api
    assert "OUTPUTS=/queue/stable-diffusion-repo " in worker
    assert "MODELS_DIR=/queue/models " in worker
    all_of_them = {"/queue/stable-diffusion-repo", "/run/secrets", "/tmp"}
    for name, deployment in of_kind("Deployment").items():
        mounted = {each["mountPath"] for each in _container(deployment)["volumeMounts"]}
        assert mounted == all_of_them | (set() if name == "api" else {"/queue/models"})


def test_redis_of_the_chart_persists_and_never_evicts() -> None:
    values = yaml.safe_load((FOLDER / "redis-values.yml").read_text())

    assert values["auth"]["enabled"]
    assert values["auth"]["aclUsers"]["default"]["passwordKey"] in SECRET_KEYS
    assert values["dataStorage"]["enabled"]
    assert "appendonly yes" in values["valkeyConfig"]
    assert "maxmemory-policy noeviction" in values["valkeyConfig"]
    assert "maxmemory 512mb\n" in values["valkeyConfig"]
    assert values["resources"]["limits"]["memory"] == "1Gi"


def _container(deployment: Manifest) -> Manifest:
    """Ours; beside the API there is its proxy."""
    [container] = [each for each in _containers(deployment) if each["name"] != "proxy"]
    return container


def _containers(deployment: Manifest) -> list[Manifest]:
    return deployment["spec"]["template"]["spec"]["containers"]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
