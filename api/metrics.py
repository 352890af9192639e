"""What /metrics of the API tells: the queue and the workers, read from Redis at every asking.

Nothing is counted in this process, so any number of APIs tell the same, and a restart forgets
nothing.
"""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from api.desk import Desk
from jobs.counts import count_jobs
from jobs.errors import RecordsUnavailable
from jobs.names import JOB_TYPES

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class QueueCollector(Collector):
    """The jobs of all workers, and the workers."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def collect(self) -> Iterator[Metric]:
        """Without Redis only `sd_redis_up` is told, and it is 0."""
        up = GaugeMetricFamily("sd_redis_up", "1: the jobs' records can be read")
        try:
            counts = count_jobs(self._desk.redis)
            workers = self._desk.workers.alive()
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
        yield GaugeMetricFamily("sd_jobs_running", "claimed by a worker", value=counts.running)
        ended = CounterMetricFamily(
            "sd_jobs_ended", "jobs by final state, each counted once", labels=["state"]
        )
        for state, number in counts.ended.items():
            ended.add_metric([state], number)
        yield ended
        alive = GaugeMetricFamily("sd_workers_alive", "workers that serve a type", labels=["type"])
        slots = GaugeMetricFamily("sd_worker_slots_alive", "their slots", labels=["type"])
        for job_type in JOB_TYPES:
            serving = [worker for worker in workers if job_type in worker.types]
            alive.add_metric([job_type], len(serving))
            slots.add_metric([job_type], sum(worker.slots for worker in serving))
        yield alive
        yield slots


def exposition(desk: Desk) -> bytes:
    """Everything, and this process's own memory and time, in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(QueueCollector(desk))
    ProcessCollector(registry=registry)
    return generate_latest(registry)
