"""The Celery app. Its messages only wake workers; the truth about a job is its record.

Reasons and measurements for the settings: docs/reliability.md.
"""

from collections.abc import Sequence
from typing import Any

import structlog
from celery import Celery
from celery.exceptions import CeleryError
from kombu.entity import Exchange, Queue
from kombu.exceptions import KombuError

from jobs.names import JOB_TYPES, RUN_TASK, JobType, queue_of
from jobs.settings import JobSettings

log = structlog.get_logger(__name__)

_KEY_PREFIX = "sd:"
# Once more, at once: a connection that a restarted broker has closed is found only by use.
_RETRY_ONCE = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}


def make_celery(settings: JobSettings, *, publisher: bool = False) -> Celery:
    """The app of a process.

    Args:
        settings: broker and result backend.
        publisher: True in the API, which must fail fast; a worker waits for the broker.
    """
    app = Celery("jobs", broker=settings.celery_broker_url, backend=settings.celery_result_backend)
    app.conf.update(_configuration(publisher=publisher))
    return app


def celery_queues(types: Sequence[JobType]) -> list[Queue]:
    """The queues of some types. Each has an exchange of its own: on a shared one, with Celery's
    default routing key, every message would go to all of them.
    """
    names = [queue_of(job_type) for job_type in types]
    return [Queue(name, Exchange(name, type="direct"), routing_key=name) for name in names]


def wake_worker(app: Celery, job_id: str, job_type: JobType) -> bool:
    """Send the message that wakes a worker of a type, which then claims the next job of its queue.

    Never raises. False: the broker could not be reached. The job is not lost: its record waits,
    and workers send messages for jobs that wait too long.
    """
    try:
        app.send_task(
            RUN_TASK,
            kwargs={"job_id": job_id, "job_type": job_type},
            queue=queue_of(job_type),
            retry=True,
            retry_policy=_RETRY_ONCE,
            ignore_result=True,
        )
    # A dead broker raises RuntimeError (in Celery's result consumer), OSError or a library's error
    except (CeleryError, KombuError, OSError, RuntimeError) as error:
        log.warning("could not send the message that wakes a worker", job=job_id, reason=str(error))
        return False
    return True


def _configuration(*, publisher: bool) -> dict[str, Any]:
    return {
        "task_queues": celery_queues(JOB_TYPES),
        "task_default_queue": queue_of(JOB_TYPES[0]),
        "task_create_missing_queues": False,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_channel_error_retry": True,
        "broker_transport_options": {
            # Redis keeps no copy of a message that a worker has received: nothing is delivered
            # twice, and a worker receives messages even while Redis' memory is full.
            "ack_emulation": False,
            # a worker waits in BRPOP; a hung Redis must not hold the API for half a minute
            "socket_timeout": 3 if publisher else 30,
            "socket_connect_timeout": 3,
            "socket_keepalive": True,
            "health_check_interval": 25,
            "global_keyprefix": _KEY_PREFIX,
            **(_RETRY_ONCE if publisher else {}),
        },
        "result_backend_transport_options": {
            "global_keyprefix": _KEY_PREFIX,
            "retry_policy": {
                "max_retries": 0,
                "interval_start": 0,
                "interval_step": 0,
                "interval_max": 0,
                "timeout": 2.0,
            },
        },
        "redis_socket_timeout": 5.0,
        "redis_socket_connect_timeout": 2.0,
        "redis_backend_health_check_interval": 25,
        "task_acks_late": True,
        "task_reject_on_worker_lost": False,
        "worker_prefetch_multiplier": 1,
        "task_ignore_result": True,
        "task_track_started": False,
        "result_extended": False,
        "accept_content": ["json"],
        "task_serializer": "json",
        "result_serializer": "json",
        "worker_send_task_events": False,
        "worker_enable_remote_control": False,
        "worker_max_tasks_per_child": None,
    }
