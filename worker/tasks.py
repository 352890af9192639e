"""Celery's task and signals, each connected to the worker process."""

from typing import Any

from celery import Celery, signals

from jobs.names import RUN_TASK, JobType
from worker.process import WorkerProcess


def connect_celery(app: Celery, process: WorkerProcess) -> None:
    """Let Celery's messages and signals reach the worker process."""

    @app.task(name=RUN_TASK)
    def run(job_id: str, job_type: JobType) -> None:
        process.execute(job_id, job_type)

    @signals.celeryd_after_setup.connect(weak=False)
    def prepare(instance: Any, **_: Any) -> None:
        process.prepare(app.amqp.queues.consume_from, instance.concurrency)

    @signals.worker_ready.connect(weak=False)
    def ready(sender: Any, **_: Any) -> None:
        process.start(app.amqp.queues.consume_from, sender.controller.concurrency)

    @signals.worker_shutting_down.connect(weak=False)
    def shutting_down(**_: Any) -> None:
        process.shut_down()

    @signals.worker_shutdown.connect(weak=False)
    def shut_down(**_: Any) -> None:
        process.close()
