"""`python -m worker [options of celery worker]`: a worker with the options this project wants.

`python -m worker models ...`: the commands for models.
"""

import sys

# Nobody listens to Celery's events, and a record tells more than gossip among workers.
_OPTIONS = ["--pool=threads", "--without-gossip", "--without-mingle", "--without-heartbeat"]

if __name__ == "__main__":
    if sys.argv[1:2] == ["models"]:
        from worker.commands.models import app as models

        models(sys.argv[2:], prog_name="models")
    from worker.app import app

    app.worker_main(["--quiet", "worker", *_OPTIONS, *sys.argv[1:]])
