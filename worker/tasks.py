"""Celery's task and signals, each connected to the worker process."""

from typing import Any

from celery import Celery, signals

from jobs.names import RUN_TASK, JobType
from worker.process import WorkerProcess
from worker.signal_handlers import install_signal_handlers


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

    # this app has a worker class of its own
    app.Worker.install_platform_tweaks = lambda *_: install_signal_handlers(process.shut_down)

    @signals.worker_shutdown.connect(weak=False)
    def shut_down(**_: Any) -> None:
        process.close()
