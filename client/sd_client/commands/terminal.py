"""What a command says, and where: the answer on stdout, everything else on stderr."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sd_client.commands.exits import ExitCode, exit_code
from sd_client.errors import BadRequest, ClientError, JobFailed


class Terminal:
    """Where a command speaks. rich leaves colours out where nobody would see them.

    Args:
        as_json: stdout gets one JSON value, also of an error.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.out = Console(highlight=False, soft_wrap=True)
        self.err = Console(stderr=True, highlight=False, soft_wrap=True)

    def say(self, text: str, style: str = "") -> None:
        """A line for people."""
        self.err.print(Text(text, style))

    def warn(self, warnings: tuple[str, ...]) -> None:
        """What could not be honoured to the letter."""
        for warning in warnings:
            self.say(f"warning: {warning}", "yellow")

    def answer(self, value: Any, people: Table | str | None = None) -> None:
        """The answer: as JSON, or as people read it; None: nothing, it has been said."""
        if self.as_json:
            typer.echo(json.dumps(value, ensure_ascii=False, indent=2))
        elif people is not None:
            self.out.print(Text(people) if isinstance(people, str) else people)

    @contextmanager
    def reporting(self, **facts: Any) -> Iterator[None]:
        """Turn an error into words and an exit code.

        Args:
            facts: what the JSON of an error says beside it.
        """
        try:
            yield
        except ClientError as error:
            self._explain(error, facts)
            raise typer.Exit(exit_code(error)) from error
        except OSError as error:
            self._tell(f"{error.filename or 'a file'}: {error.strerror}", facts)
            raise typer.Exit(ExitCode.UNEXPECTED) from error
        except KeyboardInterrupt as error:
            raise typer.Exit(ExitCode.INTERRUPTED) from error

    def _explain(self, error: ClientError, facts: Mapping[str, Any]) -> None:
        more: dict[str, Any] = {}
        if isinstance(error, BadRequest):
            more["details"] = [asdict(fault) for fault in error.details]
        if isinstance(error, JobFailed):
            more["code"] = error.code
        self._tell(str(error), {**facts, **more})

    def _tell(self, problem: str, facts: Mapping[str, Any]) -> None:
        self.say(f"error: {problem}", "red")
        if self.as_json:
            self.answer({"error": problem, **facts})
