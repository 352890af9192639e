"""Prometheus' list and Grafana's dashboard, against what the processes really tell."""

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
    """The names of the series a query reads."""
    found: set[str] = set()
    waiting = [promql_parser.parse(query)]
    while waiting:
        part = waiting.pop()
        if isinstance(part, promql_parser.VectorSelector) and part.name:
            found.add(part.name)
        for name in ("expr", "lhs", "rhs", "param", "vector_selector"):
            waiting += [inner] if (inner := getattr(part, name, None)) is not None else []
        waiting += getattr(part, "args", None) or []
    return found


@pytest.mark.parametrize("query", sorted(set(queries())))
def test_a_query_is_well_formed_and_asks_for_something(query: str) -> None:
    assert metrics_of(query)


def test_prometheus_asks_the_ports_that_the_images_open() -> None:
    configuration = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    asked = {job["job_name"]: job["dns_sd_configs"][0] for job in configuration["scrape_configs"]}

    assert set(asked) == {"api", "worker"}
    for service, where in asked.items():
        assert where["names"] == [service]
        assert f"EXPOSE {where['port']}\n" in (ROOT / f"Dockerfile.{service}").read_text()


def test_grafana_finds_the_dashboard_and_its_source() -> None:
    [source] = yaml.safe_load((FOLDER / "grafana" / "datasources.yml").read_text())["datasources"]
    [provider] = yaml.safe_load((FOLDER / "grafana" / "dashboards.yml").read_text())["providers"]

    assert {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]} == {source["uid"]}
    service = (ROOT / "deploy" / "compose" / "service.yml").read_text()
    assert f"grafana/service.json:{provider['options']['path']}/service.json:ro" in service
