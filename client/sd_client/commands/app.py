"""The app with all commands."""

import typer

from sd_client.commands.bench import bench
from sd_client.commands.generate import generate, img2img
from sd_client.commands.info import info
from sd_client.commands.jobs import cancel, recent, status
from sd_client.commands.models import models
from sd_client.commands.upscale import upscale

HELP = """
Generate pictures with a Stable Diffusion service.

SD_ADDRESS is the URL of the service, SD_API_KEY the API key.

Exit codes:

0 success

1 an unexpected error, or a file cannot be written

2 wrong usage, or the service refused the request

3 the job failed

4 the job was cancelled

5 the service is unreachable, or cannot accept the request now

6 the service does not accept the API key

130 Ctrl-C, which also cancels the job
"""

app = typer.Typer(
    name="sd",
    help=HELP,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_show_locals=False,  # they would show the API key
)
for command in (generate, img2img, upscale, info, status, cancel, recent, models, bench):
    app.command()(command)
