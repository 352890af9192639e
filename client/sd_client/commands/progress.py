"""Shows the progress of a job: a bar on a terminal, otherwise a line for each change."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

from sd_client.commands.terminal import Terminal
from sd_client.status import Event, Status


class ProgressDisplay:
    """Shows the events of one job; call it with every event."""

    def __init__(self, terminal: Terminal, bar: Progress | None, quiet: bool) -> None:
        self._terminal = terminal
        self._bar = bar
        self._task: TaskID | None = bar.add_task("sent", total=1, left="") if bar else None
        self._quiet = quiet
        self._shown: object = None

    def __call__(self, event: Event) -> None:
        if self._quiet or not isinstance(event, Status):
            return
        if self._bar is not None and self._task is not None:
            progress = event.progress
            eta = progress.eta_seconds
            self._bar.update(
                self._task,
                description=event.message,
                completed=progress.fraction,
                left="" if eta is None else f"{eta:.0f} s left",
            )
        elif not event.state.final:
            now = (event.state, event.queue_place)
            if now != self._shown:
                self._shown = now
                self._terminal.message(event.message.partition(", step")[0])


@contextmanager
def progress_display(terminal: Terminal, *, quiet: bool) -> Iterator[ProgressDisplay]:
    """A display whose bar disappears at the end of the block."""
    if quiet or not terminal.err.is_terminal:
        yield ProgressDisplay(terminal, None, quiet)
        return
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[left]}", markup=False),
        console=terminal.err,
        transient=True,
    ) as bar:
        yield ProgressDisplay(terminal, bar, quiet)
