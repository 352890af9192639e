"""The options that commands share, under the service's names and under short ones."""

import json
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from sd_client.client import Client
from sd_client.commands.completion import (
    model_names,
    sampler_names,
    settable_names,
    vae_names,
)
from sd_client.errors import BadArgument
from sd_client.parameters import PictureFormat

RANDOM = "random"
ARGUMENTS = frozenset({"prompt", "image", "idempotency_key", "self"})
"""What `--set` cannot name: arguments of the client's methods besides the parameters."""


class Type(StrEnum):
    """The job types."""

    standard = "standard"
    optimized = "optimized"


class Preset(StrEnum):
    """The presets that models may have."""

    fast = "fast"
    quality = "quality"


class Precision(StrEnum):
    """The precisions."""

    mixed = "mixed"
    full = "full"
    autocast = "autocast"


Address = Annotated[
    str | None,
    typer.Option(
        envvar="SD_ADDRESS",
        help="URL of the service.",
        show_default="http://127.0.0.1:5001",
        rich_help_panel="Service",
    ),
]
Key = Annotated[
    str | None,
    typer.Option(
        "--key",
        envvar="SD_API_KEY",
        show_envvar=True,
        help="The API key. Prefer the environment: other users of the machine see arguments.",
        show_default="the well-known key",
        rich_help_panel="Service",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, also for errors.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
Output = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        help="File or folder; - is stdout. With several pictures out.png becomes out-0.png, "
        "out-1.png, ... Replaces existing files. Without -o the prompt gives a name that no "
        "existing file has.",
        rich_help_panel="Result",
    ),
]
Prompt = Annotated[str, typer.Argument(help="The prompt: (emphasis), \\[less], cat:0.3 dog:0.7")]
Negative = Annotated[
    str | None, typer.Option("--negative", "--negative-prompt", help="The negative prompt.")
]
Steps = Annotated[int | None, typer.Option("--steps", "--ddim-steps", help="Sampling steps.")]
Size = Annotated[str | None, typer.Option(help="Width x height, such as 512x768.")]
Width = Annotated[int | None, typer.Option("--width", "-W", help="Width in pixels.")]
Height = Annotated[int | None, typer.Option("--height", "-H", help="Height in pixels.")]
Count = Annotated[
    int | None, typer.Option("--count", "-n", "--n-iter", help="Pictures, one after another.")
]
Batch = Annotated[int | None, typer.Option("--batch", "--n-samples", help="Pictures in one batch.")]
Seed = Annotated[
    str | None,
    typer.Option(help="Seed of the first picture; `random` for a random one."),
]
Scale = Annotated[float | None, typer.Option(help="Guidance scale.")]
Sampler = Annotated[
    str | None, typer.Option(help="Key or label, such as k_euler_a.", autocompletion=sampler_names)
]
Model = Annotated[
    str | None,
    typer.Option("--model", "--ckpt", help="See `sd models`.", autocompletion=model_names),
]
Vae = Annotated[
    str | None,
    typer.Option(help="Another autoencoder; see `sd models`.", autocompletion=vae_names),
]
PresetOption = Annotated[
    Preset | None, typer.Option("--preset", help="A preset of the model; see `sd models`.")
]
TypeOption = Annotated[Type | None, typer.Option("--type", help="Job type.")]
Eta = Annotated[float | None, typer.Option("--eta", "--ddim-eta", help="DDIM's eta, 0 to 1.")]
FormatOption = Annotated[
    PictureFormat | None,
    typer.Option(
        "--format",
        help="Format of the files; default: the extension of -o.",
        rich_help_panel="Result",
    ),
]
PrecisionOption = Annotated[
    Precision | None, typer.Option("--precision", help="Precision of the networks.")
]
Priority = Annotated[int | None, typer.Option(help="0 to 9; jobs of your key with 9 run first.")]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Any other parameter of the service, such as clip_skip=2: a JSON value, or a text. "
        "Can be repeated.",
        show_default=False,
        autocompletion=settable_names,
    ),
]
Grid = Annotated[
    bool | None,
    typer.Option(
        "--grid",
        help="Also a grid of all pictures.",
        show_default=False,
        rich_help_panel="Result",
    ),
]
Detach = Annotated[
    bool,
    typer.Option("--detach", "-d", help="Print the job's id and exit.", rich_help_panel="Result"),
]


def connected(address: str | None, key: str | None) -> Client:
    """A client of the service. Raises BadArgument."""
    return Client(address, api_key=key)


def seed_of(text: str | None) -> dict[str, int | None]:
    """The parameter for `--seed`. Raises BadArgument."""
    if text is None:
        return {}
    if text == RANDOM:
        return {"seed": None}
    try:
        return {"seed": int(text)}
    except ValueError as error:
        raise BadArgument(f"--seed is {text!r}; expected an integer, or `{RANDOM}`") from error


def set_parameters(assignments: Iterable[str] | None) -> dict[str, Any]:
    """The parameters for `--set`, by name. Raises BadArgument."""
    parameters: dict[str, Any] = {}
    for assignment in assignments or ():
        name, equals, text = assignment.partition("=")
        name = name.strip()
        if not equals or not name:
            raise BadArgument(f"--set is {assignment!r}; expected NAME=VALUE, such as clip_skip=2")
        if name in ARGUMENTS:
            raise BadArgument(f"--set cannot set {name}: it is no parameter of a request")
        if name in parameters:
            raise BadArgument(f"--set names {name!r} twice")
        try:
            parameters[name] = json.loads(text)
        except ValueError:
            parameters[name] = text
    return parameters
