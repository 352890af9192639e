"""`sd info`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from sd_client.commands import options as opt
from sd_client.commands.terminal import Terminal
from sd_client.parameters import FORMATS
from sd_client.recipe import Recipe


def info(
    image: Annotated[Path, typer.Argument(metavar="FILE", help=f"The picture: {FORMATS}.")],
    as_json: opt.Json = False,
    address: opt.Address = None,
    key: opt.Key = None,
) -> None:
    """Show what a picture was made of.

    Reads the recipes of this service, AUTOMATIC1111, InvokeAI and ComfyUI.
    """
    terminal = Terminal(as_json=as_json)
    with terminal.reporting(), opt.connected(address, key) as client:
        recipe = client.read_recipe(image)
        terminal.answer(dict(recipe.raw), "\n".join(_lines(recipe)))


def _lines(recipe: Recipe) -> list[str]:
    if recipe.source == "unknown" and not recipe.request and not recipe.not_read:
        return ["no recipe"]
    values = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in recipe.request.items()
    }
    return [
        f"{recipe.kind} of {recipe.source}, {recipe.size[0]}x{recipe.size[1]}",
        *(f"{name}: {value}" for name, value in values.items()),
        *(f"not read: {part.name} {part.value}: {part.why}" for part in recipe.not_read),
    ]
