"""Celery's task and signals, each connected to the worker process."""

from typing import Any

from celery import Celery, signals
from celery.exceptions import Reject

from jobs.names import RUN_TASK, JobType
from worker.process import WorkerProcess
from worker.signal_handlers import install_signal_handlers


def connect_celery(app: Celery, process: WorkerProcess) -> None:
    """Let Celery's messages and signals reach the worker process."""

    @app.task(name=RUN_TASK)
    def run(job_id: str, job_type: JobType) -> None:  # noqa: ARG001 - the records say which is next
        if not process.execute(job_type):
            # the job is in the queue again: leave its message to another worker
            raise Reject("this worker shuts down", requeue=True)

    @signals.worker_ready.connect(weak=False)
    def ready(sender: Any, **_: Any) -> None:
        process.start(app.amqp.queues.consume_from, sender.controller.concurrency)

    # this app has a worker class of its own
    app.Worker.install_platform_tweaks = lambda *_: install_signal_handlers(process.shut_down)

    @signals.worker_shutdown.connect(weak=False)
    def shut_down(**_: Any) -> None:
        process.close()
