"""The command line: `python -m launcher up` and `python -m launcher demo`."""

import argparse
import sys
from pathlib import Path
from typing import TextIO

from jobs.environment import read_settings
from launcher.demo import demo
from launcher.errors import Interrupted, LauncherError
from launcher.interruption import Interruption
from launcher.settings import LauncherSettings
from launcher.terminal import log_of
from launcher.up import up


def main() -> int:
    """Run the command. Returns the exit code: 0; 1 after an error; 130 after Ctrl-C in a demo."""
    parser = argparse.ArgumentParser(prog="python -m launcher", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="run the service until Ctrl-C")
    demo_parser = commands.add_parser("demo", help="draw one picture, then stop everything")
    demo_parser.add_argument("--output", type=Path, default=Path("demo.png"))
    arguments = parser.parse_args()

    interruption = Interruption()
    settings = read_settings(LauncherSettings)
    try:
        if arguments.command == "up":
            up(settings, interruption)
        else:
            demo(settings, interruption, arguments.output)
    except Interrupted:
        _say(settings, "Stopped.")
        return 0 if arguments.command == "up" else 130
    except LauncherError as error:
        _say(settings, f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _say(settings: LauncherSettings, text: str, file: TextIO = sys.stdout) -> None:
    """Print the last message in the format of the log."""
    if settings.log_format == "json":
        log_of("json").plain(text)
    else:
        print(text, file=file, flush=True)


if __name__ == "__main__":
    sys.exit(main())
