"""`sd generate` and `sd img2img`."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from sd_client.commands import options as opt
from sd_client.commands.exit_codes import ExitCode
from sd_client.commands.files import STDOUT, chosen_format, save
from sd_client.commands.interruption import DeferredInterrupt
from sd_client.commands.progress import progress_display
from sd_client.commands.terminal import Terminal
from sd_client.errors import BadArgument, ClientError
from sd_client.job import Job
from sd_client.parameters import FORMATS, ImageParameters, Parameters
from sd_client.status import Status


def generate(
    prompt: opt.Prompt,
    output: opt.Output = None,
    negative: opt.Negative = None,
    steps: opt.Steps = None,
    size: opt.Size = None,
    width: opt.Width = None,
    height: opt.Height = None,
    count: opt.Count = None,
    batch: opt.Batch = None,
    seed: opt.Seed = None,
    scale: opt.Scale = None,
    sampler: opt.Sampler = None,
    model: opt.Model = None,
    vae: opt.Vae = None,
    preset: opt.PresetOption = None,
    type_: opt.TypeOption = None,
    eta: opt.Eta = None,
    format_: opt.FormatOption = None,
    precision: opt.PrecisionOption = None,
    set_: opt.Set = None,
    priority: opt.Priority = None,
    grid: opt.Grid = None,
    detach: opt.Detach = False,
    quiet: opt.Quiet = False,
    as_json: opt.Json = False,
    address: opt.Address = None,
    key: opt.Key = None,
) -> None:
    """Generate pictures from a prompt.

    sd generate "a red dragon" --steps 20 -o dragon.png
    """
    terminal = Terminal(as_json=as_json)
    with terminal.reporting():
        parameters = cast(
            "Parameters",
            given(
                opt.set_parameters(set_),
                **opt.seed_of(seed),
                negative=negative,
                steps=steps,
                size=size,
                width=width,
                height=height,
                count=count,
                n_samples=batch,
                scale=scale,
                sampler=sampler,
                model=model,
                vae=vae,
                preset=preset,
                type=type_,
                eta=eta,
                format=chosen_format(format_, output),
                precision=precision,
                priority=priority,
                skip_grid=None if grid is None else not grid,
            ),
        )
        with opt.connected(address, key) as client:
            run(
                terminal,
                lambda: client.submit_generate(prompt, **parameters),
                prompt=prompt,
                output=output,
                detach=detach,
                quiet=quiet,
            )


def img2img(
    prompt: opt.Prompt,
    image: Annotated[Path, typer.Argument(help=f"The initial image: {FORMATS}.")],
    output: opt.Output = None,
    negative: opt.Negative = None,
    mask: Annotated[
        Path | None,
        typer.Option(
            "--mask",
            help="A picture that is white where the image is generated anew.",
            show_default=False,
        ),
    ] = None,
    strength: Annotated[
        float | None,
        typer.Option(
            "--strength",
            "--denoising-strength",
            help="How much to change the image: above 0, up to 1.",
        ),
    ] = None,
    noise: Annotated[
        float | None,
        typer.Option("--noise", "--noise-multiplier", help="Factor for the added noise."),
    ] = None,
    upscale: Annotated[
        bool | None,
        typer.Option("--upscale", help="Double the size of the initial image.", show_default=False),
    ] = None,
    post_upscale: Annotated[
        bool | None,
        typer.Option("--post-upscale", help="Double the size of the result.", show_default=False),
    ] = None,
    steps: opt.Steps = None,
    size: opt.Size = None,
    width: opt.Width = None,
    height: opt.Height = None,
    count: opt.Count = None,
    batch: opt.Batch = None,
    seed: opt.Seed = None,
    scale: opt.Scale = None,
    sampler: opt.Sampler = None,
    model: opt.Model = None,
    vae: opt.Vae = None,
    preset: opt.PresetOption = None,
    type_: opt.TypeOption = None,
    eta: opt.Eta = None,
    format_: opt.FormatOption = None,
    precision: opt.PrecisionOption = None,
    set_: opt.Set = None,
    priority: opt.Priority = None,
    grid: opt.Grid = None,
    detach: opt.Detach = False,
    quiet: opt.Quiet = False,
    as_json: opt.Json = False,
    address: opt.Address = None,
    key: opt.Key = None,
) -> None:
    """Generate pictures from a prompt and an initial image.

    sd img2img "a blue dragon at night" dragon.png --strength 0.6 -o blue.png
    """
    terminal = Terminal(as_json=as_json)
    with terminal.reporting():
        parameters = cast(
            "ImageParameters",
            given(
                opt.set_parameters(set_),
                **opt.seed_of(seed),
                negative=negative,
                mask=mask,
                strength=strength,
                noise_multiplier=noise,
                upscale=upscale,
                post_upscale=post_upscale,
                steps=steps,
                size=size,
                width=width,
                height=height,
                count=count,
                n_samples=batch,
                scale=scale,
                sampler=sampler,
                model=model,
                vae=vae,
                preset=preset,
                type=type_,
                eta=eta,
                format=chosen_format(format_, output),
                precision=precision,
                priority=priority,
                skip_grid=None if grid is None else not grid,
            ),
        )
        with opt.connected(address, key) as client:
            run(
                terminal,
                lambda: client.submit_img2img(prompt, image, **parameters),
                prompt=prompt,
                output=output,
                detach=detach,
                quiet=quiet,
            )


def run(
    terminal: Terminal,
    submit: Callable[[], Job],
    *,
    prompt: str,
    output: Path | None,
    detach: bool,
    quiet: bool,
) -> None:
    """Submit a job, show its progress, and save its pictures; Ctrl-C cancels the job."""
    if output == STDOUT and (terminal.as_json or detach):
        raise BadArgument("-o - writes the picture to stdout: use it without --json and --detach")
    with DeferredInterrupt() as interrupt:
        job = submit()
    terminal.warn(job.warnings)
    with terminal.reporting(task_id=job.id):
        try:
            interrupt.raise_if_pressed()
            if detach:
                terminal.answer({"task_id": job.id, "active_model": job.model}, job.id)
                return
            with progress_display(terminal, quiet=quiet) as display:
                status = job.wait(display)
        except KeyboardInterrupt as pressed:
            _cancel(terminal, job)
            raise typer.Exit(ExitCode.INTERRUPTED) from pressed
        terminal.warn(tuple(w for w in status.warnings if w not in job.warnings))
        deliver(terminal, job, status, prompt=prompt, output=output)


def deliver(
    terminal: Terminal, job: Job, status: Status, *, prompt: str, output: Path | None
) -> None:
    """Fetch and save the pictures, and print the files. Raises ClientError, OSError."""
    files = [str(path) for path in save(job.pictures(status), output, prompt)]
    terminal.answer({**status.raw, "files": files}, "\n".join(files) or None)


def _cancel(terminal: Terminal, job: Job) -> None:
    try:
        job.cancel()
    except ClientError as error:
        terminal.message(f"job {job.id} could not be cancelled: {error}", "red")
    else:
        terminal.message(f"cancelled job {job.id}")
    if terminal.as_json:
        terminal.answer({"error": "interrupted", "task_id": job.id})


def given(set_parameters: dict[str, Any], **options: Any) -> dict[str, Any]:
    """All given parameters. Of the options only a seed may be None, for a random one.

    Raises BadArgument if an option and `--set` name the same one.
    """
    given = {
        name: value.value if isinstance(value, StrEnum) else value
        for name, value in options.items()
        if value is not None or name == "seed"
    }
    if twice := given.keys() & set_parameters.keys():
        raise BadArgument(f"--set and another option set {', '.join(sorted(twice))}: leave one out")
    return given | set_parameters
