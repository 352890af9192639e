"""`make up`: run the service, with its logs on the terminal, until a signal."""

from jobs.environment import read_settings
from launcher.addresses import KeySettings, addresses
from launcher.interruption import Interruption
from launcher.preflight import data_folder, require_free_port
from launcher.settings import LauncherSettings
from launcher.stack import Stack
from launcher.terminal import log_of


def up(settings: LauncherSettings, interruption: Interruption) -> None:
    """Run the service until a signal stops it.

    Raises LauncherError; after a signal, Interrupted.
    """
    key = read_settings(KeySettings).shown_key
    require_free_port(settings.api_host, settings.port)
    with data_folder(settings.data_dir) as folder:
        log = log_of(settings.log_format)
        with Stack(settings, folder, interruption, log, restart_workers=True) as stack:
            log("launcher", f"starting, with data in {folder}")
            stack.start()
            log("launcher", f"ready at {stack.url}. Ctrl-C stops it.")
            log.plain(f"\n{addresses(stack.url, key)}\n")
            while True:
                stack.pause()
