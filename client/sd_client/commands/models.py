"""`sd models`."""

from rich.table import Table
from rich.text import Text

from sd_client.commands import options as opt
from sd_client.commands.terminal import Terminal


def models(as_json: opt.Json = False, address: opt.Address = None, key: opt.Key = None) -> None:
    """List the installed models, LoRAs, embeddings and VAEs."""
    terminal = Terminal(as_json=as_json)
    with terminal.reporting(), opt.connected(address, key) as client:
        found = client.models()
        table = Table("name", "kind", "size", "hash", "in memory", "presets", "", box=None)
        for model in found.models:
            default = "default" if model.name == found.default_model else ""
            table.add_row(
                Text(model.name),
                model.kind,
                f"{model.size / 1e9:.2f} GB",
                model.hash,
                "yes" if model.resident else "",
                ", ".join(model.presets),
                Text(model.problem or default),
            )
        terminal.answer(dict(found.raw), table if found.models else "none: no worker is running")
        if not as_json:
            for title, names in (
                ("LoRAs", found.loras),
                ("embeddings", found.embeddings),
                ("VAEs", found.vaes),
            ):
                if names:
                    terminal.answer(None, f"{title}: {', '.join(names)}")
