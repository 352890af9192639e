"""The command line, `sd`: what is on stdout is the answer, everything else is on stderr."""

from sd_client.commands.app import app

__all__ = ["app", "main"]


def main() -> None:
    """Run it; the exit code is one of `ExitCode`."""
    app(prog_name="sd")
