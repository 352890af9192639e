"""`sd status`, `sd cancel` and `sd recent`."""

from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from sd_client.commands import options as opt
from sd_client.commands.bars import watching
from sd_client.commands.draw import deliver
from sd_client.commands.files import STDOUT, format_of
from sd_client.commands.terminal import Terminal
from sd_client.errors import BadArgument, JobExpired
from sd_client.job import successful
from sd_client.status import Status

JobId = Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")]


def status(
    job_id: JobId,
    wait: Annotated[
        bool, typer.Option("--wait", "-w", help="Watch it until its end. Ctrl-C leaves it alone.")
    ] = False,
    output: opt.Output = None,
    quiet: opt.Quiet = False,
    as_json: opt.Json = False,
    address: opt.Address = None,
    key: opt.Key = None,
) -> None:
    """How a job is doing; with -o, its pictures.

    The exit code tells a failed (3) and a cancelled (4) job from one that is well.
    """
    terminal = Terminal(as_json=as_json)
    with terminal.reporting(task_id=job_id), opt.connected(address, key) as client:
        if output == STDOUT and as_json:
            raise BadArgument("-o - leaves no room on stdout for anything but the picture")
        format_of(output)  # a folder that is not there is told before anything is waited for
        job = client.job(job_id)
        found = job.status()
        if wait and not found.state.final:
            with watching(terminal, quiet=quiet) as watcher:
                found = job.wait(watcher)
        successful(found)
        if output is None:
            terminal.answer(found.raw, _told(found))
        else:
            deliver(terminal, job, found, prompt=_prompt(found), output=output)


def cancel(
    job_ids: Annotated[list[str], typer.Argument(metavar="JOB...", help="Ids of jobs.")],
    as_json: opt.Json = False,
    address: opt.Address = None,
    key: opt.Key = None,
) -> None:
    """Cancel jobs that wait or run. Needs the key that they were sent with."""
    terminal = Terminal(as_json=as_json)
    ended: dict[str, str] = {}
    with terminal.reporting(), opt.connected(address, key) as client:
        for job_id in job_ids:
            with terminal.reporting(task_id=job_id):
                ended[job_id] = client.cancel(job_id)
        terminal.answer(ended, "\n".join(f"{job_id} {said}" for job_id, said in ended.items()))


def recent(as_json: opt.Json = False, address: opt.Address = None, key: opt.Key = None) -> None:
    """The last ten finished jobs, newest first."""
    terminal = Terminal(as_json=as_json)
    with terminal.reporting(), opt.connected(address, key) as client:
        found: list[Status] = []
        for job in client.recent():
            try:
                found.append(job.status())
            except JobExpired:  # deleted meanwhile
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


def _told(status: Status) -> str:
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
