"""`python -m worker [options of celery worker]`: a worker with this project's options for Celery.

`python -m worker models ...`: the commands for models.
"""

import sys

from worker.quick_imports import quick_imports

# Workers need not know each other: everything they share is in the records.
_OPTIONS = ["--pool=threads", "--without-gossip", "--without-mingle"]

if __name__ == "__main__":
    if sys.argv[1:2] == ["models"]:
        with quick_imports():
            from worker.commands.models import app as models

        models(sys.argv[2:], prog_name="models")
    from worker.app import app, settings

    # Events are useful only to monitors such as Flower.
    events = ["--task-events"] if settings.celery_events else ["--without-heartbeat"]
    app.worker_main(["--quiet", "worker", *_OPTIONS, *events, *sys.argv[1:]])
