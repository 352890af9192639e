"""Grafana's dashboard queries only metrics that the API and the workers export."""

import re

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from jobs.connection import connect
from tests.deploy.test_monitoring import metrics_of, queries
from tests.ports import free_port
from tests.worker.conftest import Bench
from tests.worker.processes import worker

pytestmark = pytest.mark.service

# Prometheus itself adds these to every target.
OF_PROMETHEUS = {"up"}


def test_every_metric_of_the_dashboard_is_exported_by_the_api_or_a_worker(
    bench: Bench, redis_url: str
) -> None:
    metrics = pytest.importorskip("api.metrics", reason="this API exports no metrics yet")

    with worker(bench, redis_url, METRICS_PORT=str(free_port())) as handle:
        url = f"http://127.0.0.1:{handle.metrics_port()}/metrics"
        of_worker = httpx.get(url, trust_env=False, timeout=120).text
        of_api = metrics.exposition(connect(redis_url)).decode()

    exported = {
        family.name
        for text in (of_worker, of_api)
        for family in text_string_to_metric_families(text)
    }
    for query in queries():
        for name in metrics_of(query) - OF_PROMETHEUS:
            assert re.sub(r"_(total|bucket)$", "", name) in exported, query
