"""What a worker announces of its models."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jobs.names import published_native_size
from stable_diffusion.errors import UnreadableModel
from stable_diffusion.families.family import Family, Prediction
from stable_diffusion.families.sd1 import SD1
from stable_diffusion.families.sd2 import SD2
from stable_diffusion.loader import Loader
from stable_diffusion.tiny import PATHS
from stable_diffusion.unet_kind import UNetKind
from stable_diffusion.weights.fingerprint import Fingerprints
from tests.worker.small import SmallEngine
from worker.models.catalogue import Catalogue
from worker.models.inventory import Inventory

UNET = UNetKind("sd2", "of sd")


class DescribingEngine(SmallEngine):
    """Knows a v-prediction model, and refuses all others."""

    def describe_model(self, name: str, path: Path) -> Any:
        if name != "mine":
            raise UnreadableModel(f"{path.name} is damaged")
        return SimpleNamespace(family="sd2", kind="sd2-v", native_size=768, cost=1.5, unet=UNET)


def test_family_kind_and_native_size_are_announced_once_the_engine_is_built(
    tmp_path: Path,
) -> None:
    (tmp_path / "mine.safetensors").write_bytes(b"12345")
    (tmp_path / "page.safetensors").touch()
    engines: list[Any] = [None, DescribingEngine()]
    inventory = Inventory(Catalogue(tmp_path, "mine"), lambda: engines.pop(0))

    inventory.tick()
    before = {facts.name: facts for facts in inventory.facts(resident=())}["mine"]
    inventory.tick()
    after = {facts.name: facts for facts in inventory.facts(resident=["mine"])}

    assert (before.family, before.kind, before.bytes) == ("", "", 5)
    assert (after["mine"].family, after["mine"].kind) == ("sd2", "sd2-v")
    assert (after["mine"].native_size, after["mine"].cost, after["mine"].resident) == (
        768,
        1.5,
        True,
    )
    assert (before.unet, after["mine"].unet) == (None, UNET)
    assert (after["mine"].hash, after["mine"].problem) == ("0123456789", "")
    assert (after["page"].problem, after["page"].kind) == ("page.safetensors is damaged", "")


def test_a_replaced_file_is_described_again(tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    path.touch()
    inventory = Inventory(Catalogue(tmp_path, "mine"), DescribingEngine)
    inventory.tick()
    path.write_bytes(b"another")
    facts = {facts.name: facts for facts in inventory.facts(resident=())}["mine"]
    assert (facts.kind, facts.native_size, facts.bytes) == ("", 512, 7)


def test_a_published_model_has_its_native_size_before_the_engine_is_built(tmp_path: Path) -> None:
    for name in ("sd15", "sd21v", "mine"):
        (tmp_path / f"{name}.safetensors").touch()
    inventory = Inventory(Catalogue(tmp_path, "mine"), lambda: None)
    sizes = {facts.name: facts.native_size for facts in inventory.facts(resident=())}
    included = {path.stem: 256 for path in PATHS}
    assert sizes == {"sd15": 512, "sd21v": 768, "mine": 512, **included}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_the_published_sizes_are_those_of_the_files(path: Path) -> None:
    described = Loader("cpu", Fingerprints()).describe(path)
    assert published_native_size(path.stem) == described.native_size


@pytest.mark.parametrize(
    ("model", "family", "prediction"),
    [
        ("sd14", SD1, "epsilon"),
        ("sd15", SD1, "epsilon"),
        ("sd21", SD2, "epsilon"),
        ("sd21v", SD2, "v"),
    ],
)
def test_the_published_sizes_are_those_of_the_families(
    model: str, family: Family, prediction: Prediction
) -> None:
    assert published_native_size(model) == family.native_size_for(prediction)
