"""`sd bench`: measures the throughput of the service, and the time of each phase."""

from typing import Annotated, cast

import typer
from rich.table import Table

from sd_client.benchmark import Benchmark, Report, quantile
from sd_client.commands import options as opt
from sd_client.commands.exit_codes import ExitCode
from sd_client.commands.terminal import Terminal
from sd_client.parameters import Parameters

PROMPT = "a red dragon on a beach"


def bench(
    requests: Annotated[
        int, typer.Option("--requests", "-N", min=1, max=100_000, help="Number of jobs.")
    ] = 10,
    concurrency: Annotated[
        int, typer.Option("--concurrency", "-C", min=1, max=1000, help="Number of concurrent jobs.")
    ] = 2,
    warm_up: Annotated[
        bool, typer.Option(help="First run one job that does not count: it loads the model.")
    ] = True,
    prompt: Annotated[
        str, typer.Option(help="The prompt of all jobs; their seeds differ.")
    ] = PROMPT,
    steps: opt.Steps = None,
    size: opt.Size = None,
    count: opt.Count = None,
    batch: opt.Batch = None,
    scale: opt.Scale = None,
    sampler: opt.Sampler = None,
    model: opt.Model = None,
    type_: opt.TypeOption = None,
    quiet: opt.Quiet = False,
    as_json: opt.Json = False,
    address: opt.Address = None,
    key: opt.Key = None,
) -> None:
    """Run N jobs, C of them concurrently, and print throughput and timings.

    Fetches no pictures. Ctrl-C cancels the jobs. The exit code is 3 if a job failed.
    """
    terminal = Terminal(as_json=as_json)
    given = {
        "steps": steps,
        "size": size,
        "count": count,
        "n_samples": batch,
        "scale": scale,
        "sampler": sampler,
        "model": model,
        "type": type_ and type_.value,
    }
    parameters = cast(
        "Parameters", {name: value for name, value in given.items() if value is not None}
    )
    with terminal.reporting(), opt.connected(address, key) as client:
        benchmark = Benchmark(client, prompt, parameters)
        with terminal.err.status("warming up") as line:
            if warm_up:
                benchmark.one(0)

            def show(done: int) -> None:
                if not quiet:
                    line.update(f"{done} of {requests} jobs")

            report = benchmark.run(requests, concurrency, show)
        terminal.answer(report.as_json(), _table(report))
        for error, times in report.errors.items():
            terminal.message(f"{times} × {error}", "red")
        if report.failed:
            raise typer.Exit(ExitCode.FAILED)


def _table(report: Report) -> Table:
    table = Table("", "p50", "p95", box=None, title=_headline(report), title_justify="left")
    table.add_row("whole job, s", *_percentiles(report.seconds))
    for phase, seconds in report.phases.items():
        table.add_row(f"  {phase}, s", *_percentiles(seconds))
    return table


def _headline(report: Report) -> str:
    return (
        f"{report.pictures} pictures of {report.done} jobs in {report.wall:.2f} s: "
        f"{report.pictures_per_second:.3f} pictures/s"
    )


def _percentiles(seconds: list[float]) -> tuple[str, str]:
    return f"{quantile(seconds, 0.5):.3f}", f"{quantile(seconds, 0.95):.3f}"
