"""`sd status`, `sd cancel` and `sd recent`."""

from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from sd_client.commands import options as opt
from sd_client.commands.files import STDOUT, format_of
from sd_client.commands.generate import deliver
from sd_client.commands.progress import progress_display
from sd_client.commands.terminal import Terminal
from sd_client.errors import BadArgument, JobExpired
from sd_client.job import successful
from sd_client.status import Status

JobId = Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")]


def status(
    job_id: JobId,
    wait: Annotated[
        bool, typer.Option("--wait", "-w", help="Wait until it ends. Ctrl-C does not cancel it.")
    ] = False,
    output: opt.Output = None,
    quiet: opt.Quiet = False,
    as_json: opt.Json = False,
    address: opt.Address = None,
    key: opt.Key = None,
) -> None:
    """Show the status of a job; with -o, save its pictures.

    The exit code is 3 for a failed job and 4 for a cancelled one.
    """
    terminal = Terminal(as_json=as_json)
    with terminal.reporting(task_id=job_id), opt.connected(address, key) as client:
        if output == STDOUT and as_json:
            raise BadArgument("-o - writes the picture to stdout: use it without --json")
        format_of(output)  # reports a missing folder before waiting
        job = client.job(job_id)
        found = job.status()
        if wait and not found.state.final:
            with progress_display(terminal, quiet=quiet) as display:
                found = job.wait(display)
        successful(found)
        if output is None:
            terminal.answer(found.raw, _summary(found))
        else:
            deliver(terminal, job, found, prompt=_prompt(found), output=output)


def cancel(
    job_ids: Annotated[list[str], typer.Argument(metavar="JOB...", help="Ids of jobs.")],
    as_json: opt.Json = False,
    address: opt.Address = None,
    key: opt.Key = None,
) -> None:
    """Cancel waiting or running jobs. Needs the API key that submitted them."""
    terminal = Terminal(as_json=as_json)
    results: dict[str, str] = {}
    with terminal.reporting(), opt.connected(address, key) as client:
        for job_id in job_ids:
            with terminal.reporting(task_id=job_id):
                results[job_id] = client.cancel(job_id)
        terminal.answer(
            results, "\n".join(f"{job_id} {result}" for job_id, result in results.items())
        )


def recent(as_json: opt.Json = False, address: opt.Address = None, key: opt.Key = None) -> None:
    """List the last ten successful jobs, newest first."""
    terminal = Terminal(as_json=as_json)
    with terminal.reporting(), opt.connected(address, key) as client:
        found: list[Status] = []
        for job in client.recent():
            try:
                found.append(job.status())
            except JobExpired:  # expired meanwhile
                continue
        table = Table("job", "prompt", "model", "seed", "size", "pictures", box=None)
        for one in found:
            table.add_row(
                one.job_id,
                Text(_shortened(_prompt(one))),
                Text(one.model),
                str(one.seeds[0]) if one.seeds else "",
                _size(one),
                str(len(one.images)),
            )
        terminal.answer([dict(one.raw) for one in found], table if found else "none yet")


def _summary(status: Status) -> str:
    lines = [status.message]
    if status.images:
        lines += [f"{_size(status)} {status.format}, seeds {', '.join(map(str, status.seeds))}"]
        lines += status.images
    return "\n".join(lines + [f"warning: {warning}" for warning in status.warnings])


def _prompt(status: Status) -> str:
    request: dict[str, Any] = status.metadata.get("request", {})
    return request.get("prompt") or ""


def _size(status: Status) -> str:
    return "x".join(map(str, status.size or ()))


def _shortened(text: str, length: int = 48) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
