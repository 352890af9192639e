"""The output of the commands: results on stdout, everything else on stderr."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from textwrap import shorten
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sd_client.commands.exit_codes import ExitCode, exit_code
from sd_client.errors import BadRequest, ClientError, JobFailed


class Terminal:
    """Writes to stdout and stderr, with colours on terminals only.

    Args:
        as_json: write one JSON value to stdout, also after an error.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.out = Console(highlight=False, soft_wrap=True)
        self.err = Console(stderr=True, highlight=False, soft_wrap=True)

    def message(self, text: str, style: str = "") -> None:
        """Write a line to stderr."""
        self.err.print(Text(text, style))

    def warn(self, warnings: tuple[str, ...]) -> None:
        """Write the service's warnings to stderr."""
        for warning in warnings:
            self.message(f"warning: {warning}", "yellow")

    def answer(self, value: Any, text: Table | str | None = None) -> None:
        """Write the result to stdout: as JSON, or as `text`; without `text`, nothing."""
        if self.as_json:
            typer.echo(json.dumps(value, ensure_ascii=False, indent=2))
        elif text is not None:
            self.out.print(Text(text) if isinstance(text, str) else text)

    @contextmanager
    def reporting(self, **facts: Any) -> Iterator[None]:
        """Turn an exception into a message and an exit code.

        Args:
            facts: further keys for the JSON of an error.
        """
        try:
            yield
        except ClientError as error:
            self._client_error(error, facts)
            raise typer.Exit(exit_code(error)) from error
        except OSError as error:
            self._error(f"{error.filename or 'a file'}: {error.strerror}", facts)
            raise typer.Exit(ExitCode.UNEXPECTED) from error
        except KeyboardInterrupt as error:
            raise typer.Exit(ExitCode.INTERRUPTED) from error

    def _client_error(self, error: ClientError, facts: Mapping[str, Any]) -> None:
        more: dict[str, Any] = {}
        details = error.details if isinstance(error, BadRequest) else ()
        if isinstance(error, BadRequest):
            more["details"] = [asdict(fault) for fault in details]
        if isinstance(error, JobFailed):
            more["code"] = error.code
        self._error(str(error), {**facts, **more})
        for fault in details:
            self.message(f"  {fault.field}: {shorten(str(fault.expected), 160, placeholder=' …')}")

    def _error(self, problem: str, facts: Mapping[str, Any]) -> None:
        self.message(f"error: {problem}", "red")
        if self.as_json:
            self.answer({"error": problem, **facts})
