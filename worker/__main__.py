"""`python -m worker [options of celery worker]`: a worker with the options this project wants."""

import sys

from worker.app import app

# Nobody listens to Celery's events, and a record tells more than gossip among workers.
_OPTIONS = ["--pool=threads", "--without-gossip", "--without-mingle", "--without-heartbeat"]

if __name__ == "__main__":
    app.worker_main(["--quiet", "worker", *_OPTIONS, *sys.argv[1:]])
