"""`python -m worker.alive`: the health check of a worker's container.

A healthy worker announces itself in Redis every few seconds. A process that hangs, or that cannot
reach Redis, is not healthy, even if it still answers signals.
"""

import socket
import sys

from jobs.connection import connect
from jobs.environment import read_settings
from jobs.errors import RecordsUnavailable
from jobs.workers import Workers
from worker.settings import WorkerSettings


def main() -> None:
    """Exit with 0 if a worker of this host is announced, else with 1 and a message."""
    settings = read_settings(WorkerSettings)
    host = socket.gethostname()
    try:
        alive = Workers(connect(settings.celery_result_backend)).alive()
    except RecordsUnavailable as error:
        sys.exit(f"error: {error}")
    if not any(worker.worker_id.startswith(f"{host}-") for worker in alive):
        sys.exit(f"error: no worker of {host} has announced itself lately")


if __name__ == "__main__":
    main()
