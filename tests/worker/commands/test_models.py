"""The commands for models, against a hub on the loopback interface."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner, Result

from jobs.connection import connect
from jobs.worker_facts import WorkerFacts
from jobs.workers import Workers
from stable_diffusion.errors import NumericalError
from stable_diffusion.generate import generate
from stable_diffusion.load_model import load_model
from stable_diffusion.recipe import Recipe
from stable_diffusion.tiny import PATH
from stable_diffusion.weights.fingerprint import Fingerprints
from tests.worker.commands.hub import Hub, running
from worker.commands import models as commands
from worker.commands import pulling
from worker.commands.sources import Source, read_sources, source_of
from worker.errors import BadSource, PullFailed

REPOSITORY = "someone/sd"
FILE = "v1-5-pruned-emaonly.safetensors"
SOURCE = Source(repositories=("gone/sd", REPOSITORY), file=FILE)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running(Hub({f"{REPOSITORY}/{FILE}": PATH.read_bytes()})) as hub:
        yield hub


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


def pull(hub: Hub, models: Path, source: Source = SOURCE) -> Path:
    remote = pulling.find(source, hub.url)
    kept = Fingerprints(models.parent / "fingerprints.json")
    return pulling.pull(
        "sd15", remote, models, kept, prediction=source.prediction, endpoint=hub.url
    )


def test_a_pulled_model_has_its_name_and_a_note_of_its_source(hub: Hub, models: Path) -> None:
    path = pull(hub, models)
    assert path == models / "sd15.safetensors"
    assert path.read_bytes() == PATH.read_bytes()
    remote = pulling.recorded(path)
    assert remote
    assert (remote.repository, remote.sha256) == (
        REPOSITORY,
        hub.checksum(f"{REPOSITORY}/{FILE}"),
    )
    assert Fingerprints(models.parent / "fingerprints.json").known(path) == remote.sha256
    assert sorted(file.name for file in models.iterdir()) == [
        "sd15.safetensors",
        "sd15.safetensors.source.json",
    ]


def test_an_interrupted_pull_is_resumed(hub: Hub, models: Path) -> None:
    hub.breaks_after = 12_000_000  # more than the library keeps back
    with pytest.raises(PullFailed, match="the hub answered 503"):
        pull(hub, models)
    assert not list(models.glob("*.safetensors"))
    hub.refuses = False
    assert pull(hub, models).read_bytes() == PATH.read_bytes()
    # it writes ten mebibytes at a time
    assert hub.ranges[-1] == f"bytes={10 * 2**20}-"


def test_a_file_with_another_checksum_is_deleted(hub: Hub, models: Path) -> None:
    hub.says = "0" * 64
    with pytest.raises(PullFailed, match="not what someone/sd says"):
        pull(hub, models)
    assert not list(models.rglob("*.safetensors"))


def test_the_free_disk_space_is_checked_first(
    hub: Hub, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulling, "SPARE_BYTES", 10**18)
    with pytest.raises(PullFailed, match=r"needs 10+\.\d GB of disk"):
        pull(hub, models)
    assert hub.ranges == []


def test_the_error_for_a_missing_file_names_the_repositories(hub: Hub, models: Path) -> None:
    with pytest.raises(PullFailed, match=r"none of gone/sd, moved/sd: .*sources\.toml"):
        pull(hub, models, Source(repositories=("gone/sd", "moved/sd"), file=FILE))


def test_the_error_without_a_hub_says_so(models: Path) -> None:
    with running(Hub({})) as hub:
        gone = hub.url
    with pytest.raises(PullFailed, match="cannot be reached"):
        pulling.find(SOURCE, gone)


def test_a_v_model_gets_a_configuration_file(hub: Hub, models: Path) -> None:
    path = pull(hub, models, SOURCE.model_copy(update={"prediction": "v"}))
    assert "parameterization: v" in path.with_suffix(".yaml").read_text()


def test_the_table_lists_the_documented_models_and_can_be_extended(tmp_path: Path) -> None:
    assert {"sd14", "sd15", "sd21", "sd21v"} <= set(read_sources(tmp_path))
    assert source_of("sd2.1v", tmp_path)[0] == "sd21v"
    with pytest.raises(BadSource, match=r"'mine'; known are .*sd14, .*sources\.toml"):
        source_of("mine", tmp_path)
    own = tmp_path / "sources.toml"
    own.write_text('[mine]\nrepositories = ["me/mine"]\nfile = "mine.safetensors"\n')
    assert source_of("mine", tmp_path)[1].repositories == ("me/mine",)
    own.write_text('[mine]\nrepositories = ["me/mine"]\nfile = "mine.exe"\n')
    with pytest.raises(BadSource, match=r"sources\.toml cannot be read"):
        read_sources(tmp_path)


@pytest.mark.parametrize(
    ("name", "folder"),
    [("sdxl", "models"), ("lcm-lora-sdv1-5", "loras"), ("taesd", "models/vae")],
)
def test_a_lora_and_a_vae_have_folders_of_their_own(name: str, folder: str) -> None:
    source = source_of(name, Path("nowhere"))[1]
    assert source.folder_in(Path("models"), Path("loras")) == Path(folder)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of the commands, in this process and for another."""
    said = {
        "DATA_DIR": str(tmp_path),
        "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
        "COLUMNS": "200",
    }
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(commands.out, "_width", 200)
    return said


def run(*arguments: str) -> Result:
    return CliRunner().invoke(commands.app, arguments)


def test_models_are_listed_with_what_they_are(settings: dict[str, str], models: Path) -> None:
    models.mkdir()
    (models / "sd15.safetensors").write_bytes(PATH.read_bytes())
    (models / "page.ckpt").write_text("<!doctype html>")
    listed = run("list", "--hashes")
    assert listed.exit_code == 0, listed.output
    checksum = hashlib.sha256(PATH.read_bytes()).hexdigest()
    (row,) = [line for line in listed.output.splitlines() if "sd15" in line]
    assert all(part in row for part in ("tiny", "0.02 GB", checksum[:10], "?"))
    assert "page.ckpt" in listed.output
    assert "Redis does not answer" in listed.output


def test_names_and_contents_that_look_like_markup_are_shown(
    settings: dict[str, str], models: Path
) -> None:
    names = ("ink [fp16]", "[red]", "a [/b]", ":cat:")
    for name in names:
        (models / f"{name}.safetensors").parent.mkdir(parents=True, exist_ok=True)
        (models / f"{name}.safetensors").write_bytes(PATH.read_bytes())
    (models / "page.ckpt").write_text("[/b] not found")
    listed = run("list")
    assert listed.exit_code == 0, listed.output
    assert all(name in listed.output for name in (*names, "[/b] not found"))
    checked = run("check", "ink [fp16]")
    assert (checked.exit_code, "ink [fp16]" in checked.output) == (0, True), checked.output
    refused = run("check", "page")
    assert (refused.exit_code, "[/b] not found" in refused.output) == (1, True), refused.output


def test_a_model_in_the_memory_of_a_worker_is_listed_as_resident(
    settings: dict[str, str], monkeypatch: pytest.MonkeyPatch, redis_url: str
) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", redis_url)
    facts = WorkerFacts(
        worker_id="a",
        types=("standard",),
        models=("tiny",),
        default_model="tiny",
        device="cpu",
        slots=1,
        loaded=("tiny",),
    )
    Workers(connect(redis_url)).announce(facts, ttl_seconds=60)
    (row,) = [line for line in run("list").output.splitlines() if "tiny " in line]
    assert "yes" in row


def test_a_file_is_checked_by_path_or_name(settings: dict[str, str], models: Path) -> None:
    models.mkdir()
    path = models / "sd15.safetensors"
    path.write_bytes(PATH.read_bytes())
    checksum = hashlib.sha256(PATH.read_bytes()).hexdigest()
    for named in ("sd15", str(path)):
        checked = run("check", named)
        assert checked.exit_code == 0, checked.output
        assert checksum in checked.output
        assert "tiny, in the original layout" in checked.output
    tensors = load_file(PATH)
    first = tensors["model.diffusion_model.input_blocks.0.0.weight"]
    for inputs, wider in (("inpaint", 5), ("instruct", 4)):
        tensors["model.diffusion_model.input_blocks.0.0.weight"] = torch.cat(
            [first, first[:, :1].repeat(1, wider, 1, 1)], 1
        )
        save_file(tensors, models / f"{inputs}.safetensors")
        checked = run("check", inputs)
        assert checked.exit_code == 0, checked.output
        assert f"tiny-{inputs}, in the original layout" in checked.output
    del tensors["model.diffusion_model.out.2.bias"]
    save_file(tensors, models / "part.safetensors")
    (models / "page.ckpt").write_text("<!doctype html>")
    for named, says in (
        ("part", "out.2.bias is missing"),
        ("page", "error: model file 'page.ckpt'"),
        ("sd99", "no model 'sd99' here"),
    ):
        refused = run("check", named)
        assert refused.exit_code == 1
        assert says in " ".join(refused.output.split())


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ("model.diffusion_model.out.2.weight", "the network predicted NaN or infinity"),
        (
            "cond_stage_model.transformer.text_model.final_layer_norm.weight",
            "the network predicted",
        ),
        ("first_stage_model.decoder.conv_out.weight", "the autoencoder returned NaN or infinity"),
    ],
)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_model_whose_answer_is_no_number_fails_the_check_and_its_job_alike(
    settings: dict[str, str], models: Path, broken: str, says: str, value: float
) -> None:
    models.mkdir()
    tensors = load_file(PATH)
    tensors[broken].view(-1)[0] = value
    save_file(tensors, models / "broken.safetensors")
    refused = run("check", "broken")
    assert refused.exit_code == 1
    assert says in " ".join(refused.output.split())
    model = load_model(models / "broken.safetensors", name="broken")
    with pytest.raises(NumericalError, match=says):
        list(generate(model, Recipe(prompt="a", height=64, width=64, steps=1)))


def test_the_check_says_what_was_used_and_what_was_not(
    settings: dict[str, str], models: Path
) -> None:
    models.mkdir()
    tensors = load_file(PATH)
    vae = {name: tensor for name, tensor in tensors.items() if name.startswith("first_stage")}
    extra = {"model_ema.decay": torch.zeros(1), "model_ema.updates": torch.zeros(1)}
    save_file(tensors | extra, models / "dreamy.safetensors")
    said = " ".join(run("check", "dreamy").output.split())
    assert "autoencoder its own" in said
    assert "not used 2 tensors: model_ema (2)" in said
    assert "predicts epsilon, by default" in said
    save_file(vae, models / "dreamy.vae.safetensors")
    checked = run("check", "dreamy")
    said = " ".join(checked.output.split())
    assert checked.exit_code == 0
    assert "autoencoder dreamy.vae.safetensors, beside it" in said
    assert f"first_stage_model ({len(vae)})" in said


@pytest.mark.service
def test_the_commands_are_those_of_the_worker(
    hub: Hub, settings: dict[str, str], models: Path
) -> None:
    models.mkdir()
    table = f'[sd15]\nrepositories = ["{REPOSITORY}"]\nfile = "{FILE}"\n'
    (models / "sources.toml").write_text(table)
    pulled = subprocess.run(
        [sys.executable, "-m", "worker", "models", "pull", "sd1.5"],
        cwd=Path(__file__).parents[3],
        env={**os.environ, "HF_ENDPOINT": hub.url},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert pulled.returncode == 0, pulled.stderr
    assert "sd15 is installed" in " ".join(pulled.stdout.split())
    path = models / "sd15.safetensors"
    path.write_bytes(path.read_bytes() + b"x")
    unknown = run("pull", "sd99")
    assert unknown.exit_code == 1
    assert "no source is known for the model 'sd99'" in " ".join(unknown.output.split())
