"""`make up`: run the service, with its logs on the terminal, until a signal."""

import json
import os

from launcher.interruption import Interruption
from launcher.preflight import data_folder, require_free_port
from launcher.settings import LauncherSettings
from launcher.stack import Stack
from launcher.terminal import log_of

DUMMY_KEY = "lksalsdfjliadfds"
EXAMPLE = {
    "prompt": "a red ((dragon)) on a beach",
    "H": 256,
    "W": 256,
    "ddim_steps": 25,
    "synchronous_request": True,
}


def up(settings: LauncherSettings, interruption: Interruption) -> None:
    """Run the service until a signal stops it.

    Raises LauncherError; after a signal, Interrupted.
    """
    require_free_port(settings.api_host, settings.port)
    with data_folder(settings.data_dir) as folder:
        log = log_of(settings.log_format)
        with Stack(settings, folder, interruption, log, restart_workers=True) as stack:
            log("launcher", f"starting, with data in {folder}")
            stack.start()
            log("launcher", f"ready at {stack.url}. Ctrl-C stops it. To generate a first picture:")
            log.plain(f"\n  {example_command(stack.url)}\n")
            while True:
                stack.pause()


def example_command(url: str) -> str:
    """A curl command that generates a picture; with the default settings it works as pasted."""
    if os.environ.get("API_KEYS"):
        return (
            f"curl -sS {url}/generate -H 'X-API-Key: one of API_KEYS' "
            f"-H 'Content-Type: application/json' -d '{json.dumps(EXAMPLE)}' -o picture.png"
        )
    body = json.dumps({**EXAMPLE, "api_key": DUMMY_KEY})
    return f"curl -sS {url}/generate -H 'Content-Type: application/json' -d '{body}' -o picture.png"
