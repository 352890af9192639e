"""`python -m worker [options of celery worker]`: a worker with the options this project wants."""

import sys

from worker.app import app, settings

# Workers need not know each other: a record tells more than gossip.
_OPTIONS = ["--pool=threads", "--without-gossip", "--without-mingle"]

if __name__ == "__main__":
    # Unless a monitor listens to Celery's events, none are sent.
    events = ["--task-events"] if settings.celery_events else ["--without-heartbeat"]
    app.worker_main(["--quiet", "worker", *_OPTIONS, *events, *sys.argv[1:]])
