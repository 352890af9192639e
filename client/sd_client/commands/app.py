"""The commands, put together."""

import typer

from sd_client.commands.bench import bench
from sd_client.commands.draw import generate, img2img
from sd_client.commands.jobs import cancel, recent, status
from sd_client.commands.models import models

HELP = """
Pictures from a Stable Diffusion service.

SD_ADDRESS says where it is, SD_API_KEY who asks.

Exit codes:

0 done

1 something unexpected, or a file cannot be written

2 wrong usage, or a refused request

3 the job failed

4 the job was cancelled

5 the service cannot be reached, or cannot take it now

6 the key is not let in

130 Ctrl-C, which also cancels the job
"""

app = typer.Typer(
    name="sd",
    help=HELP,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_show_locals=False,  # they would show the key
)
for command in (generate, img2img, status, cancel, recent, models, bench):
    app.command()(command)
