"""The Celery app of a worker process: the shared configuration, and what is a worker's own."""

from collections.abc import Callable
from typing import Any

import celery.apps.worker
import structlog
from celery import Celery, signals

from jobs.logs import configure_logging
from jobs.queue import celery_queues, make_celery
from worker.execution.engine import Engine
from worker.process import WorkerProcess
from worker.settings import WorkerSettings
from worker.tasks import open_doors

log = structlog.get_logger(__name__)


def worker_app(settings: WorkerSettings, make_engine: Callable[[], Engine]) -> Celery:
    """An app for `celery worker`: threads, as many as the settings say, on the queues it serves.

    Threads share one model_cache of models, and torch lets them compute at the same time; a forked
    process would hold every model again, and CUDA does not survive the fork.
    """
    app = make_celery(settings)
    app.conf.update(
        worker_pool="threads",
        worker_concurrency=settings.slots,
        task_queues=celery_queues(settings.job_types),
    )

    @signals.setup_logging.connect(weak=False)
    def logging(**_: Any) -> None:
        configure_logging(settings.log_level, settings.log_format)
        # Celery writes "Warm shutdown" past all logging
        celery.apps.worker.safe_say = lambda text, *_: log.info(str(text).strip())

    open_doors(app, WorkerProcess(settings, app, make_engine))
    return app
