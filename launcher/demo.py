"""`make demo`: start the service, generate one picture, and stop everything."""

import json
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)

from launcher.errors import DemoFailed
from launcher.interruption import Interruption
from launcher.preflight import data_folder
from launcher.settings import LauncherSettings
from launcher.stack import Stack
from launcher.valkey import free_port

REQUEST = Path(__file__).resolve().parent.parent / "templates" / "txt2img-optimized.json"
"""The text-to-image example of the README."""
POLL_SECONDS = 0.1
CHOSEN_BY_PRESET = ("ddim_steps", "scale", "sampler", "vae")
PHASES = ("encode", "sample", "decode")


class Drawn(NamedTuple):
    """A PNG, the steps it took, and the seconds from prompt to pixels."""

    png: bytes
    steps: int
    seconds: float


def demo(settings: LauncherSettings, interruption: Interruption, picture: Path) -> None:
    """Start the service, post the README's example, show its progress, save the picture, stop.

    The same example with the model's preset `fast` follows, to show the time of both.
    The demo has its own port and Valkey, and, unless DATA_DIR is set, a temporary data folder.
    Raises LauncherError.
    """
    console = Console()
    request = json.loads(REQUEST.read_text())
    demo_settings = LauncherSettings(
        api_host="127.0.0.1",
        port=free_port(),
        data_dir=settings.data_dir,
        workers=1,
        celery_broker_url="",
        celery_result_backend="",
        ready_timeout=settings.ready_timeout,
    )
    started = time.monotonic()
    with _folder(settings) as folder, _bar(console) as bar:
        environment = {
            "API_KEYS": request["api_key"],
            "DEFAULT_MODEL": "tiny",
            "JOB_TYPES": request["type"],
            "OUTPUTS": str(folder / "outputs"),
        }
        task = bar.add_task("starting Valkey, a worker and the API", total=None)
        with Stack(demo_settings, folder, interruption, _discard, environment) as stack:
            stack.start()
            show = partial(_show, bar, task)
            drawn = _generate(request, stack, show)
            fast = _generate(with_preset(request, "fast"), stack, show)
        picture.write_bytes(drawn.png)
    seconds = round(time.monotonic() - started)
    console.print(f"Saved [bold]{picture}[/], {seconds} s with start and stop.", highlight=False)
    times = [f"{each.steps} steps {each.seconds:.1f} s" for each in (drawn, fast)]
    console.print(f"{', '.join(times)} (preset [bold]fast[/]).", highlight=False)
    console.print("[bold]make up[/] leaves the service running and prints how to call it.")


def with_preset(request: Mapping[str, Any], preset: str) -> dict[str, Any]:
    """The same request without what a preset chooses, and with the preset."""
    kept = {name: value for name, value in request.items() if name not in CHOSEN_BY_PRESET}
    return {**kept, "preset": preset}


def _generate(
    request: Mapping[str, Any], stack: Stack, show: Callable[[str, float], None]
) -> Drawn:
    """Post the request, report its job's progress until it ends, and return its picture."""
    with httpx.Client(base_url=stack.url, trust_env=False, timeout=30) as client:
        try:
            location = client.post("/generate", json=request).raise_for_status().json()["Location"]
            while (status := _status(client, location))["State"] != "SUCCESS":
                if status["State"] in ("FAILURE", "CANCELLED"):
                    raise DemoFailed(f"the demo's job failed: {status['Status']}")
                show(status["Status"], status["Progress"])
                stack.pause(POLL_SECONDS)
            png = client.get(location).raise_for_status().content
            facts = status["metadata"]
            seconds = sum(facts["timings"].get(phase, 0.0) for phase in PHASES)
            return Drawn(png, facts["steps"], seconds)
        except httpx.HTTPStatusError as error:
            refused = error.response.text.strip()
            raise DemoFailed(f"the API refused the README's example: {refused}") from error
        except httpx.TransportError as error:
            stack.pause(1)  # raises ServiceEnded, the better message, if a process died
            raise DemoFailed(f"the API does not answer: {error}") from error


def _status(client: httpx.Client, location: str) -> dict[str, Any]:
    return client.get(location, params={"images": "false"}).raise_for_status().json()


@contextmanager
def _folder(settings: LauncherSettings) -> Generator[Path]:
    if "data_dir" in settings.model_fields_set:
        with data_folder(settings.data_dir) as folder:
            yield folder
    else:
        with tempfile.TemporaryDirectory(prefix="stable-diffusion-demo-") as folder:
            yield Path(folder)


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )


def _show(bar: Progress, task: TaskID, text: str, done: float) -> None:
    bar.update(task, description=text, completed=done, total=1)


def _discard(service: str, line: str) -> None:
    """Show no logs beside the progress bar; `exit_message` quotes a service that dies."""
