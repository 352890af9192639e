"""The command line: `python -m launcher up` and `python -m launcher demo`."""

import argparse
import sys
from pathlib import Path

from jobs.environment import read_settings
from launcher.demo import demo
from launcher.errors import Interrupted, LauncherError
from launcher.interruption import Interruption
from launcher.settings import LauncherSettings
from launcher.up import up


def main() -> int:
    """Run the command; returns the exit code: 0 when it did what was asked, else 1."""
    parser = argparse.ArgumentParser(prog="python -m launcher", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="run the service until Ctrl-C")
    demo_parser = commands.add_parser("demo", help="draw one picture, then stop everything")
    demo_parser.add_argument("--output", type=Path, default=Path("demo.png"))
    arguments = parser.parse_args()

    interruption = Interruption()
    try:
        settings = read_settings(LauncherSettings)
        if arguments.command == "up":
            up(settings, interruption)
        else:
            demo(settings, interruption, arguments.output)
    except Interrupted:
        print("Stopped.", flush=True)
        return 0 if arguments.command == "up" else 130
    except LauncherError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
