"""`python -m worker [options of celery worker]`: a worker with the options this project wants.

`python -m worker models ...`: the commands for models.
"""

import sys

# Workers need not know each other: a record tells more than gossip.
_OPTIONS = ["--pool=threads", "--without-gossip", "--without-mingle"]

if __name__ == "__main__":
    if sys.argv[1:2] == ["models"]:
        from worker.commands.models import app as models

        models(sys.argv[2:], prog_name="models")
    from worker.app import app, settings

    # Unless a monitor listens to Celery's events, none are sent.
    events = ["--task-events"] if settings.celery_events else ["--without-heartbeat"]
    app.worker_main(["--quiet", "worker", *_OPTIONS, *events, *sys.argv[1:]])
