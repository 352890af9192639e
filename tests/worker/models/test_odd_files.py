"""Odd entries in the folders of models break themselves only."""

import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from jobs.worker_facts import ModelFacts, WorkerFacts
from stable_diffusion import tiny
from stable_diffusion.loader import Loader
from stable_diffusion.tiny import PATHS
from stable_diffusion.weights.fingerprint import Fingerprints
from tests.worker.small import SmallEngine
from worker.commands.models import app
from worker.models.catalogue import Catalogue
from worker.models.inventory import Inventory
from worker.models.upscalers import Upscalers


class Engine(SmallEngine):
    """Describes models as the real engine does."""

    def describe_model(self, name: str, path: Path) -> Any:
        if name == "out-of-memory":
            raise MemoryError("no memory for this one")
        return Loader("cpu", Fingerprints()).describe(path)


def make_odd(folder: Path) -> None:
    """Entries that a person, a crashed download or a stranger may leave, sorted before others."""
    weights = PATHS[0].read_bytes()
    for name in ("nested", "out-of-memory", "zz-good"):
        (folder / f"{name}.safetensors").write_bytes(weights)
    (folder / "nested.yaml").write_text("[" * 5000)
    os.mkfifo(folder / "a-pipe.safetensors")
    (folder / "a-folder.safetensors").mkdir()
    (folder / "a-loop.safetensors").symlink_to(folder / "a-loop.safetensors")
    (folder / "a-long-link.safetensors").symlink_to("x" * 300)
    (folder / "a-dead-link.safetensors").symlink_to(folder / "gone")
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe.safetensors")).write_bytes(weights)
    index = folder / "a-model" / "unet" / "diffusion_pytorch_model.safetensors.index.json"
    index.parent.mkdir(parents=True)
    index.write_text("[" * 100_000)


def described(folder: Path) -> dict[str, ModelFacts]:
    inventory = Inventory(Catalogue(folder, "tiny"), Engine)
    inventory.tick()
    return {facts.name: facts for facts in inventory.facts(resident=())}


def test_each_odd_file_breaks_itself_only(tmp_path: Path) -> None:
    make_odd(tmp_path)
    found = described(tmp_path)
    assert found["zz-good"].kind == "tiny"
    assert "nested.yaml" in found["nested"].problem
    assert "no memory" in found["out-of-memory"].problem
    assert "index.json" in found["a-model"].problem
    assert not {"a-pipe", "a-folder", "a-loop", "a-long-link", "a-dead-link"} & found.keys()
    announced = WorkerFacts(
        worker_id="w",
        types=(),
        models=tuple(found),
        default_model="tiny",
        device="cpu",
        slots=1,
        model_facts=tuple(found.values()),
    )
    assert WorkerFacts.model_validate_json(announced.model_dump_json()).models == tuple(found)


def test_odd_loras_embeddings_and_upscalers_hide_no_others(tmp_path: Path) -> None:
    make_odd(tmp_path)
    catalogue = Catalogue(tmp_path, "tiny", loras_dir=tmp_path, embeddings_dir=tmp_path)
    usable = {"nested", "out-of-memory", "zz-good"}
    assert set(catalogue.loras()) == usable | {path.stem for path in tiny.LORA_PATHS}
    assert set(catalogue.embeddings()) == usable
    assert {path.stem for path in Upscalers(tmp_path).installed()} > usable


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("nested", "nested.yaml"),
        ("a-pipe.safetensors", "is not a regular file"),
        ("a-model", "index.json cannot be read: it is nested too deep"),
    ],
)
def test_models_check_says_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str, said: str
) -> None:
    make_odd(tmp_path)
    monkeypatch.setenv("MODELS_DIR", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "500")
    path = tmp_path / entry
    result = CliRunner().invoke(app, ["check", str(path) if path.exists() else entry])
    assert result.exit_code == 1
    assert said in " ".join(result.output.split())
    assert "Traceback" not in result.output


def test_a_deep_table_of_sources_is_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sources.toml").write_text("a = " + "[" * 5000)
    monkeypatch.setenv("MODELS_DIR", str(tmp_path))
    result = CliRunner().invoke(app, ["pull", "sd15"])
    assert result.exit_code == 1
    assert "sources.toml cannot be read" in " ".join(result.output.split())
