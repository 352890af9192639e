"""The threads that run beside the jobs: they find dead workers, announce, sweep, send webhooks."""

from collections.abc import Callable

from redis import Redis

from jobs.names import JobType
from jobs.records.expiry import Expiry
from jobs.webhooks.deliveries import Deliveries
from jobs.workers import Workers
from worker.background.heartbeat import Heartbeat
from worker.background.periodic_thread import PeriodicThread
from worker.background.reaper import Reaper
from worker.background.sweeper import Sweeper
from worker.background.webhook_sender import WebhookSender
from worker.background.worker_status import WorkerStatus
from worker.execution.execution_context import ExecutionContext
from worker.settings import WorkerSettings

_DELIVERY_LEASE_MARGIN = 30.0
"""Seconds that a webhook message stays with its sender beyond the timeout of an attempt."""


def background_threads(
    settings: WorkerSettings,
    redis: Redis,
    context: ExecutionContext,
    status: WorkerStatus,
    *,
    send: Callable[[str, JobType], bool],
    draw: Callable[[int], int],
) -> list[PeriodicThread]:
    """Those of one worker, not yet started.

    Args:
        status: of this worker, as it announces itself.
        send, draw: as of `Reaper`.
    """
    threads: list[PeriodicThread] = [
        Reaper(
            context.claims,
            context.file_cleanup,
            send=send,
            draw=draw,
            free_slots=status.free_slots,
            types=status.types,
            reap_seconds=settings.reap_seconds,
            resend_after=settings.resend_after,
        ),
        Heartbeat(
            Workers(redis),
            status.facts,
            context.free_and_probe,
            seconds=settings.heartbeat_interval,
        ),
        Sweeper(
            redis,
            Expiry(redis, settings.retention),
            context.file_cleanup,
            seconds=settings.sweep_seconds,
            orphan_grace=settings.orphan_grace,
        ),
    ]
    if settings.webhook_secrets:
        lease_seconds = settings.webhook_timeout_seconds + _DELIVERY_LEASE_MARGIN
        threads.append(
            WebhookSender(
                Deliveries(redis, lease_seconds=lease_seconds),
                settings.webhook_rules,
                settings.webhook_secrets,
                retry_seconds=settings.webhook_retry_seconds,
                timeout_seconds=settings.webhook_timeout_seconds,
            )
        )
    return threads
