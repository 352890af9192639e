"""A real worker process with a small engine: `celery -A tests.worker.small_app worker`.

Environment: FREEZES, if it is set, stops the process after the first picture of a job.
"""

import os

from tests.worker.small import SmallEngine
from worker.celery_app import worker_app
from worker.settings import WorkerSettings

app = worker_app(
    WorkerSettings(), lambda: SmallEngine(seconds=0.1, freezes="FREEZES" in os.environ)
)
