"""`sd upscale`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, cast

import typer

from sd_client.commands import options as opt
from sd_client.commands.files import chosen_format
from sd_client.commands.generate import given, run
from sd_client.commands.terminal import Terminal
from sd_client.parameters import FORMATS, UpscaleParameters


class Upscaler(StrEnum):
    """The choices of --upscaler."""

    DEFAULT = "default"
    LANCZOS = "lanczos"
    NEAREST = "nearest"


def upscale(
    image: Annotated[Path, typer.Argument(help=f"The picture: {FORMATS}.")],
    output: opt.Output = None,
    by: Annotated[
        float | None, typer.Option("--by", "--upscale-by", help="Factor, above 1 up to 8.")
    ] = None,
    width: Annotated[
        int | None,
        typer.Option("--width", "-W", "--output-width", help="Exact width, with --height."),
    ] = None,
    height: Annotated[
        int | None,
        typer.Option("--height", "-H", "--output-height", help="Exact height, with --width."),
    ] = None,
    upscaler: Annotated[
        Upscaler | None,
        typer.Option(help="default is the service's network; the others resample."),
    ] = None,
    type_: opt.TypeOption = None,
    format_: opt.FormatOption = None,
    set_: opt.Set = None,
    priority: opt.Priority = None,
    detach: opt.Detach = False,
    quiet: opt.Quiet = False,
    as_json: opt.Json = False,
    address: opt.Address = None,
    key: opt.Key = None,
) -> None:
    """Enlarge a picture, twice unless a factor or a size is given.

    sd upscale dragon.png --by 4 -o large.png
    """
    terminal = Terminal(as_json=as_json)
    with terminal.reporting():
        parameters = cast(
            "UpscaleParameters",
            given(
                opt.set_parameters(set_),
                upscale_by=by,
                output_width=width,
                output_height=height,
                upscaler=upscaler,
                type=type_,
                format=chosen_format(format_, output),
                priority=priority,
            ),
        )
        with opt.connected(address, key) as client:
            run(
                terminal,
                lambda: client.submit_upscale(image, **parameters),
                prompt=f"{image.stem} large",
                output=output,
                detach=detach,
                quiet=quiet,
            )
