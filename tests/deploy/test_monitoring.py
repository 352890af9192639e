"""The queries of Grafana's dashboard, and Prometheus' scrape targets."""

import json
from collections.abc import Iterator

import promql_parser
import pytest
import yaml

from docs.generate import ROOT

FOLDER = ROOT / "deploy" / "monitoring"
DASHBOARD = json.loads((FOLDER / "grafana" / "service.json").read_text())


def queries() -> Iterator[str]:
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield target["expr"]


def metrics_of(query: str) -> set[str]:
    """The names of the series that a query reads."""
    found: set[str] = set()
    parts = [promql_parser.parse(query)]
    while parts:
        part = parts.pop()
        if isinstance(part, promql_parser.VectorSelector) and part.name:
            found.add(part.name)
        for name in ("expr", "lhs", "rhs", "param", "vector_selector"):
            parts += [inner] if (inner := getattr(part, name, None)) is not None else []
        parts += getattr(part, "args", None) or []
    return found


@pytest.mark.parametrize("query", sorted(set(queries())))
def test_a_query_is_valid_and_reads_a_metric(query: str) -> None:
    assert metrics_of(query)


def test_prometheus_scrapes_the_ports_of_the_images() -> None:
    configuration = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    targets = {job["job_name"]: job["dns_sd_configs"][0] for job in configuration["scrape_configs"]}

    assert set(targets) == {"api", "worker"}
    for service, target in targets.items():
        assert target["names"] == [service]
        assert f"EXPOSE {target['port']}\n" in (ROOT / f"Dockerfile.{service}").read_text()


def test_grafana_finds_the_dashboard_and_its_source() -> None:
    [source] = yaml.safe_load((FOLDER / "grafana" / "datasources.yml").read_text())["datasources"]
    [provider] = yaml.safe_load((FOLDER / "grafana" / "dashboards.yml").read_text())["providers"]

    assert {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]} == {source["uid"]}
    service = (ROOT / "deploy" / "compose" / "service.yml").read_text()
    assert f"grafana/service.json:{provider['options']['path']}/service.json:ro" in service
