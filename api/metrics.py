"""The API's /metrics: the queue and the workers, read from Redis at every scrape.

This process counts nothing itself, so all APIs report the same, and a restart loses nothing.
"""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from redis import Redis

from jobs.errors import RecordsUnavailable
from jobs.names import JOB_TYPES
from jobs.records.counts import count_jobs
from jobs.workers import Workers

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class QueueCollector(Collector):
    """Metrics of the queues of all types, and of the workers."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._workers = Workers(redis)

    def collect(self) -> Iterator[Metric]:
        """The metrics now; only `sd_redis_up 0` while Redis does not answer."""
        up = GaugeMetricFamily("sd_redis_up", "1: the job records can be read")
        try:
            counts = count_jobs(self._redis)
            workers = self._workers.alive()
        except RecordsUnavailable:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        waiting = GaugeMetricFamily("sd_jobs_waiting", "jobs in the queue", labels=["type"])
        for job_type, number in counts.waiting.items():
            waiting.add_metric([job_type], number)
        yield waiting
        yield GaugeMetricFamily(
            "sd_jobs_running", "jobs that a worker has claimed", value=counts.running
        )
        ended = CounterMetricFamily(
            "sd_jobs_ended", "ended jobs by final state, each counted once", labels=["state"]
        )
        for state, number in counts.ended.items():
            ended.add_metric([state], number)
        yield ended
        alive = GaugeMetricFamily("sd_workers_alive", "live workers of a type", labels=["type"])
        slots = GaugeMetricFamily(
            "sd_worker_slots_alive", "job slots of the live workers", labels=["type"]
        )
        for job_type in JOB_TYPES:
            serving = [worker for worker in workers if job_type in worker.types]
            alive.add_metric([job_type], len(serving))
            slots.add_metric([job_type], sum(worker.slots for worker in serving))
        yield alive
        yield slots


def exposition(redis: Redis) -> bytes:
    """All metrics, and this process's memory and CPU time, in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(QueueCollector(redis))
    ProcessCollector(registry=registry)
    return generate_latest(registry)
