"""The command line, `sd`: results go to stdout, everything else to stderr."""

from sd_client.commands.app import app

__all__ = ["app", "main"]


def main() -> None:
    """Run `sd`; the exit code is one of `ExitCode`."""
    app(prog_name="sd")
