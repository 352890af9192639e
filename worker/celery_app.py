"""The Celery app of a worker process: the shared configuration, and the worker's own."""

from collections.abc import Callable
from typing import Any

from celery import Celery, signals
from kombu.transport.redis import Channel

from jobs.logs import configure_logging
from jobs.queue import celery_queues, make_celery
from worker.execution.engine import Engine
from worker.process import WorkerProcess
from worker.settings import WorkerSettings
from worker.tasks import connect_celery


def worker_app(settings: WorkerSettings, build_engine: Callable[[], Engine]) -> Celery:
    """An app for `celery worker`, with a thread per slot and the queues of its job types.

    Threads share one cache of models, and torch lets them compute at the same time. A forked
    process would need a second copy of every model, and CUDA does not survive a fork.
    """
    # When Redis goes away while a job runs, kombu 5.7 fails to put the job's message back on a
    # closed connection, and that ends the worker (docs/reliability.md). A record needs no message.
    Channel.do_restore = False
    app = make_celery(settings)
    app.conf.update(
        worker_pool="threads",
        worker_concurrency=settings.slots,
        task_queues=celery_queues(settings.job_types),
    )

    @signals.setup_logging.connect(weak=False)
    def logging(**_: Any) -> None:
        configure_logging(settings.log_level, settings.log_format)

    connect_celery(app, WorkerProcess(settings, app, build_engine))
    return app
