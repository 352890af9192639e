"""`make containers`: build both images, run the CPU stack, break it, and leave nothing behind.

Talks to whatever engine `docker` reaches. BUILD_NETWORK, TORCH_INDEX_URL, PYTHON_IMAGE and
REDIS_IMAGE of the environment go to Compose as they do for `docker-compose build`.
"""

import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.containers.compose import compose_command, docker
from tests.containers.stack import Stack, copy_of_the_project
from tests.containers.steps import STEPS, down


def main() -> None:
    """Run every step; exit with 1 at the first that fails."""
    console = Console(width=120)
    if compose_command() is None:
        sys.exit("error: this needs Docker Compose 2 or newer (`docker compose version`)")
    table = Table("step", "seconds", "", title="make containers", title_justify="left")
    failed = False
    with tempfile.TemporaryDirectory(prefix="containers-") as name:
        stack = Stack(copy_of_the_project(Path(name)))
        console.print(f"engine {docker('version', '-f', '{{.Server.Version}}').strip()}")
        for step in STEPS:
            title = step.__name__.replace("_", " ")
            console.print(f"{title} ...")
            began = time.monotonic()
            try:
                remark = step(stack)
            except AssertionError as error:
                failed = True
                remark = "[bold red]FAILED"
                console.print(str(error), style="red", markup=False)
                console.print(stack.compose("logs", "--tail", "40"), markup=False)
            table.add_row(title, f"{time.monotonic() - began:.1f}", remark)
            if failed:
                down(stack)
                break
    console.print(table)
    console.print(f"{len(table.rows) - failed} passed, {int(failed)} failed")
    sys.exit(failed)


if __name__ == "__main__":
    main()
