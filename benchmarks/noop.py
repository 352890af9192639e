"""A Celery app with an empty task: `celery -A benchmarks.noop worker`.

It has the service's pool and settings, so its round trip is the overhead of Celery and Redis.
"""

from jobs.environment import read_settings
from jobs.queue import make_celery
from jobs.settings import JobSettings

QUEUE = "noop"

app = make_celery(read_settings(JobSettings))
app.conf.update(
    worker_pool="threads",
    worker_concurrency=1,
    task_create_missing_queues=True,
    task_queues=None,
    task_default_queue=QUEUE,
)


@app.task(name="noop", ignore_result=False)
def noop() -> None:
    """Do nothing."""
