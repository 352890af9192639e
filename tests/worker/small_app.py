"""A real worker process with a small engine: `celery -A tests.worker.small_app worker`.

Environment: FREEZES, if it is set, stops the process after the first picture of a job. An
evaluation takes a tenth of a second until `Bench.hurry`.
"""

import os

from tests.worker.small import HURRY, SmallEngine
from worker.celery_app import worker_app
from worker.settings import WorkerSettings

settings = WorkerSettings()
app = worker_app(
    settings,
    lambda: SmallEngine(
        seconds=0.1, hurries=(settings.data_dir / HURRY).exists, freezes="FREEZES" in os.environ
    ),
)
