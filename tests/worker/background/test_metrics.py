"""The metrics that a worker process exports to Prometheus."""

import os
import socket

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.ports import free_port
from tests.worker.conftest import Bench, until
from tests.worker.processes import worker
from tests.worker.small import SmallModel

pytestmark = pytest.mark.service


def numbers(port: int) -> dict[str, float]:
    response = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False, timeout=120)
    return {
        sample.name + "".join(f"{{{value}}}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def test_a_worker_exports_steps_seconds_and_memory(bench: Bench, redis_url: str) -> None:
    port = free_port()
    with (
        # the port is in use, so the worker takes the next
        socket.create_server(("127.0.0.1", port)),
        worker(bench, redis_url, METRICS_PORT=str(port)) as handle,
    ):
        bench.ended(bench.send(ddim_steps=7))
        bench.ended(bench.send("img2img", type="optimized", ddim_steps=3, n_iter=1))
        until(lambda: bench.only_worker().loaded)
        served = handle.metrics_port()
        until(lambda: numbers(served)["sd_worker_busy"] == 0)  # soon after the end is recorded
        exported = numbers(served)
        facts = bench.only_worker()

    assert exported["sd_worker_steps_total"] == 10
    assert exported["sd_worker_steps_per_second"] > 0
    for phase in ("queued", "loading", "sampling"):
        assert exported[f"sd_worker_job_seconds_count{{{phase}}}{{standard}}"] == 1
        assert exported[f"sd_worker_job_seconds_count{{{phase}}}{{optimized}}"] == 1
    assert exported["sd_worker_job_seconds_sum{sampling}{standard}"] >= 0.7
    assert exported["sd_worker_models"] == 1
    assert exported["sd_worker_model_bytes"] == SmallModel.nbytes
    assert (exported["sd_worker_slots"], exported["sd_worker_busy"]) == (1, 0)
    assert exported["sd_worker_gpu_memory_bytes"] == 0
    assert exported["process_resident_memory_bytes"] > 0
    assert facts.memory_bytes
    assert facts.memory_bytes > os.sysconf("SC_PAGE_SIZE")
    assert facts.gpu_memory_bytes is None
