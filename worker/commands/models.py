"""`models list`, `models pull NAME`, `models check FILE`. Composition root of these commands."""

from collections import Counter
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from PIL import Image
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs.connection import connect
from jobs.environment import read_settings
from jobs.errors import RecordsUnavailable
from jobs.names import model_named, usual_prediction
from jobs.workers import Workers
from stable_diffusion.errors import ModelError, NumericalError
from stable_diffusion.generate import generate
from stable_diffusion.loader import Loader
from stable_diffusion.model import HASH_DIGITS
from stable_diffusion.recipe import Recipe
from stable_diffusion.weights.fingerprint import Fingerprints, size_on_disk
from stable_diffusion.weights.model_files import vae_beside
from stable_diffusion.weights.prediction import declared_prediction
from stable_diffusion.weights.reading import VaeFiles, open_weights
from stable_diffusion.weights.state_dict_loading import unused_tensors
from worker.commands import pulling
from worker.commands.sources import source_of
from worker.errors import UnknownModel, WorkerError
from worker.settings import WorkerSettings

app = typer.Typer(name="models", no_args_is_help=True, add_completion=False)
# names of files may look like the markup of rich: `my model [fp16]`
out = Console(markup=False, emoji=False)
err = Console(stderr=True, markup=False, emoji=False)
_MOST_GROUPS = 4
_PROBE = Recipe(
    prompt="",
    height=64,
    width=64,
    steps=1,
    guidance_scale=1,
    precision="full",
    inputs={"init": Image.new("RGB", (64, 64))},
    strength=1.0,
)
"""The encoding of an image, which some networks need, one evaluation, and the decoding."""


@app.callback()
def models() -> None:
    """List, download and check the models of this machine."""


@app.command(name="list")
def list_models(
    hashes: Annotated[bool, typer.Option(help="compute missing hashes")] = False,
) -> None:
    """List the models: name, kind, size, hash, and whether a worker has them in memory."""
    settings = read_settings(WorkerSettings)
    fingerprints = _fingerprints(settings)
    loader = Loader("cpu", fingerprints)
    resident = _resident(settings)
    table = Table("name", "kind", "size", "hash", "resident")
    for name, path in sorted(settings.catalogue.installed().items()):
        try:
            kind = Text(loader.describe(path, usual_prediction(name)).kind)
            size = f"{size_on_disk(path) / 1e9:.2f} GB"
            known = fingerprints.of(path) if hashes else fingerprints.known(path) or ""
        except ModelError as error:
            kind, size, known = Text(str(error), "red"), "", ""
        in_memory = "?" if resident is None else "yes" if name in resident else "no"
        table.add_row(name, kind, size, known[:HASH_DIGITS], in_memory)
    out.print(table)
    if resident is None:
        err.print("Redis does not answer, so it is not known which models are in memory.")


@app.command()
def pull(name: Annotated[str, typer.Argument(help="such as sd15, or lcm-lora-sdv1-5")]) -> None:
    """Download a model, a LoRA or a VAE from the hub into its folder; resumes a download."""
    settings = read_settings(WorkerSettings)
    try:
        canonical, source = source_of(name, settings.models_dir)
        remote = pulling.find(source)
        out.print(f"{canonical}: {remote.file} of {remote.repository}, {remote.bytes / 1e9:.2f} GB")
        path = pulling.pull(
            canonical,
            remote,
            source.folder_in(settings.models_dir, settings.loras_dir),
            _fingerprints(settings),
            prediction=source.prediction,
        )
    except (WorkerError, ModelError) as error:
        _fail(error)
    out.print(f"{canonical} is installed: {path}")


@app.command()
def check(
    file: Annotated[str, typer.Argument(help="a file, a folder, or the name of a model")],
) -> None:
    """Say what a file is, and generate an image of one step; exit with 1 if it cannot be used."""
    settings = read_settings(WorkerSettings)
    path = Path(file)
    try:
        if not path.exists():
            _, path = settings.catalogue.find(file)
        name = model_named(path.name)
        checkpoint = open_weights(path)
        vae = vae_beside(path)
        own_vae = VaeFiles.chosen(path, None).full is None
        fingerprints = _fingerprints(settings)
        loader = Loader("cpu", fingerprints)
        model = loader.load(name, path, prediction=usual_prediction(name), full=True)
        declared = declared_prediction(path, checkpoint)
        unused = unused_tensors(checkpoint, model.family, own_vae=own_vae)
        fingerprint = fingerprints.of(path)
        remote = pulling.recorded(path)
        for _ in generate(model, _PROBE):
            pass
    except NumericalError as error:
        _fail(f"model {path.name!r} cannot be used: {error}")
    except (UnknownModel, ModelError) as error:
        _fail(error)
    if remote and remote.sha256 != fingerprint:
        _fail(
            f"{path.name} differs from the file that was pulled from {remote.repository}: it was "
            "changed since"
        )
    table = Table.grid(padding=(0, 2))
    table.add_row("name", name)
    table.add_row("kind", f"{model.family.id}, in the {checkpoint.layout} layout")
    stated = "as the file states" if declared else "by default"
    table.add_row("predicts", f"{model.prediction}, {stated}")
    table.add_row("autoencoder", f"{vae.name}, beside it" if vae else "its own")
    if unused:
        groups = Counter(each.partition(".")[0] for each in unused).most_common()
        listed = ", ".join(f"{group} ({count})" for group, count in groups[:_MOST_GROUPS])
        table.add_row("not used", f"{len(unused)} tensors: {listed}")
    table.add_row("drawn", "an image of one step, of finite numbers")
    table.add_row("size", f"{size_on_disk(path) / 1e9:.2f} GB, {len(checkpoint.names)} tensors")
    table.add_row("sha256", fingerprint)
    if remote:
        table.add_row("pulled from", f"{remote.repository}, {remote.file}")
    out.print(table)


def _fingerprints(settings: WorkerSettings) -> Fingerprints:
    return Fingerprints(settings.cache_dir / "fingerprints.json")


def _resident(settings: WorkerSettings) -> set[str] | None:
    """The models that workers have in memory; None when Redis does not answer."""
    try:
        alive = Workers(connect(settings.celery_result_backend)).alive()
    except RecordsUnavailable:
        return None
    return {name for worker in alive for name in worker.loaded}


def _fail(problem: object) -> NoReturn:
    err.print(f"error: {problem}", style="red", highlight=False)
    raise typer.Exit(1)
