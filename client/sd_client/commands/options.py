"""The options that commands share, in the service's words and in shorter ones."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sd_client.client import Client
from sd_client.commands.completion import model_names, sampler_names
from sd_client.errors import BadArgument

RANDOM = "random"


class Type(StrEnum):
    """The ways of running a model."""

    standard = "standard"
    optimized = "optimized"


class Format(StrEnum):
    """The file formats."""

    png = "png"
    jpg = "jpg"


class Precision(StrEnum):
    """The precisions."""

    mixed = "mixed"
    full = "full"
    autocast = "autocast"


Address = Annotated[
    str | None,
    typer.Option(
        envvar="SD_ADDRESS",
        help="The service.",
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
        help="The API key. Better in the environment: others on the machine see arguments.",
        show_default="the well-known one",
        rich_help_panel="Service",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout, also of an error.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
Output = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        help="The file, or a folder; - is stdout. Of several pictures, out.png becomes out-0.png, "
        "out-1.png ... Files of that name are replaced. Without -o a name is made of the prompt, "
        "and nothing is replaced.",
        rich_help_panel="Result",
    ),
]
Prompt = Annotated[str, typer.Argument(help="What to draw: (emphasis), \\[less], blend:0.5")]
Negative = Annotated[
    str | None, typer.Option("--negative", "--negative-prompt", help="What to keep out.")
]
Steps = Annotated[int | None, typer.Option("--steps", "--ddim-steps", help="Sampling steps.")]
Size = Annotated[str | None, typer.Option(help="Width x height, such as 512x768.")]
Width = Annotated[int | None, typer.Option("--width", "-W", help="Width in pixels.")]
Height = Annotated[int | None, typer.Option("--height", "-H", help="Height in pixels.")]
Count = Annotated[
    int | None, typer.Option("--count", "-n", "--n-iter", help="Pictures, one after the other.")
]
Batch = Annotated[int | None, typer.Option("--batch", "--n-samples", help="Pictures at once.")]
Seed = Annotated[
    str | None,
    typer.Option(help="Of the first picture; `random` draws one. The service's own is the same."),
]
Scale = Annotated[float | None, typer.Option(help="Guidance: how closely to follow the prompt.")]
Sampler = Annotated[
    str | None, typer.Option(help="Key or label, such as k_euler_a.", autocompletion=sampler_names)
]
Model = Annotated[
    str | None,
    typer.Option("--model", "--ckpt", help="See `sd models`.", autocompletion=model_names),
]
TypeOf = Annotated[Type | None, typer.Option("--type", help="Way of running, and queue.")]
Eta = Annotated[float | None, typer.Option("--eta", "--ddim-eta", help="DDIM's eta, 0 to 1.")]
FormatOf = Annotated[
    Format | None,
    typer.Option("--format", help="Of the files; else the ending of -o.", rich_help_panel="Result"),
]
PrecisionOf = Annotated[Precision | None, typer.Option("--precision", help="Of the networks.")]
Priority = Annotated[int | None, typer.Option(help="0 to 9; 9 is first of your own jobs.")]
Grid = Annotated[
    bool | None,
    typer.Option(
        "--grid",
        help="Also one picture of all pictures.",
        show_default=False,
        rich_help_panel="Result",
    ),
]
Detach = Annotated[
    bool,
    typer.Option("--detach", "-d", help="Print the job's id and leave.", rich_help_panel="Result"),
]


def connected(address: str | None, key: str | None) -> Client:
    """A client of the service. Raises BadArgument."""
    return Client(address, api_key=key)


def seed_of(text: str | None) -> dict[str, int | None]:
    """The parameter that `--seed` stands for. Raises BadArgument."""
    if text is None:
        return {}
    if text == RANDOM:
        return {"seed": None}
    try:
        return {"seed": int(text)}
    except ValueError as error:
        raise BadArgument(f"--seed is {text!r}; it is an integer, or `{RANDOM}`") from error
