"""Ready copies and fingerprints: quick when nothing changed, and never wrong when something did."""

import errno
import fcntl
import shutil
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from stable_diffusion.families.tiny import TINY_V2
from stable_diffusion.generate import generate
from stable_diffusion.load_model import load_model
from stable_diffusion.loader import Loader
from stable_diffusion.model import Model
from stable_diffusion.recipe import Recipe
from stable_diffusion.tiny import PATH
from stable_diffusion.weights import reading, weight_cache
from stable_diffusion.weights.fingerprint import Fingerprints
from stable_diffusion.weights.safetensors_writer import SafetensorsWriter
from stable_diffusion.weights.saving import save_checkpoint
from stable_diffusion.weights.weight_cache import WeightCache
from tests.stable_diffusion.layouts import random_networks

pytestmark = pytest.mark.heavy

SMALL = Recipe(prompt="a red circle", width=64, height=64, steps=2, seed=9)
PLENTY = 2**30


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    path.write_bytes(PATH.read_bytes())
    return path


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Another model, which predicts v and says so."""
    path = tmp_path / "other.safetensors"
    save_checkpoint(random_networks(TINY_V2), TINY_V2, path, "v")
    return path


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were read tensor by tensor."""
    paths: list[Path] = []
    real = reading.read_weights

    def counted(path: Path, *arguments: Any, **options: Any) -> Any:
        paths.append(path)
        return real(path, *arguments, **options)

    monkeypatch.setattr("stable_diffusion.loader.read_weights", counted)
    return paths


def loader(tmp_path: Path, most_bytes: int = PLENTY) -> Loader:
    copies = WeightCache(tmp_path / "copies", most_bytes, min_bytes=0)
    return Loader("cpu", Fingerprints(tmp_path / "fingerprints.json"), copies)


def load(tmp_path: Path, source: Path, most_bytes: int = PLENTY) -> Model:
    return loader(tmp_path, most_bytes).load("model", source)


def pixels(model: Model) -> bytes:
    return next(generate(model, SMALL)).image.tobytes()


def test_the_second_loading_finds_a_copy_that_draws_the_same(
    tmp_path: Path, source: Path, read: list[Path]
) -> None:
    first = load(tmp_path, source)
    second = load(tmp_path, source)
    assert read == [source]
    assert first.mapped and second.mapped, "memory holds it"
    assert pixels(first) == pixels(second) == pixels(load_model(source, name="model"))
    assert (first.hash, first.kind, first.nbytes) == (second.hash, second.kind, second.nbytes)
    strides = [m.networks.unet.conv_in.weight.stride() for m in (first, second)]
    assert strides[0] == strides[1]


def test_a_file_whose_matrices_lie_transposed_is_copied_too(tmp_path: Path, source: Path) -> None:
    tensors = load_file(source)
    path = tmp_path / "model.ckpt"
    torch.save({n: t.T.contiguous().T if t.dim() == 2 else t for n, t in tensors.items()}, path)
    model = load(tmp_path, path)
    assert model.mapped
    assert pixels(model) == pixels(load_model(source, name="model"))


def test_a_file_that_is_replaced_while_it_is_read_leaves_no_copy(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Fingerprints(tmp_path / "fingerprints.json").of(source)
    tensors = load_file(source)
    tensors["model.diffusion_model.out.2.bias"] += 1
    save_file(tensors, tmp_path / "new.safetensors")
    kept, real, replaced = tmp_path / "old.safetensors", reading.read_weights, list[Path]()
    shutil.copy2(source, kept)

    def read_new(path: Path, *arguments: Any, **options: Any) -> Any:
        if not replaced:
            replaced.append((tmp_path / "new.safetensors").replace(source))
        return real(path, *arguments, **options)

    monkeypatch.setattr("stable_diffusion.loader.read_weights", read_new)
    biases = [
        load(tmp_path, path).networks.unet.get_parameter("conv_out.bias") for path in (source, kept)
    ]
    assert replaced
    torch.testing.assert_close(biases[0], biases[1] + 1, rtol=0, atol=1e-3)


def test_what_the_file_said_of_itself_is_kept(
    tmp_path: Path, other: Path, read: list[Path]
) -> None:
    assert load(tmp_path, other).prediction == load(tmp_path, other).prediction == "v"
    assert len(read) == 1


def test_a_changed_source_is_read_again(tmp_path: Path, source: Path, read: list[Path]) -> None:
    first = load(tmp_path, source)
    tensors = load_file(source)
    tensors["model.diffusion_model.out.2.bias"] += 1
    save_file(tensors, source)
    second = load(tmp_path, source)
    assert len(read) == 2
    assert first.hash != second.hash
    biases = [m.networks.unet.get_parameter("conv_out.bias") for m in (first, second)]
    assert not torch.equal(*biases)


@pytest.mark.parametrize("damage", ["a byte", "an end", "a note", "a header"])
def test_a_damaged_copy_is_found_and_made_anew(
    tmp_path: Path, source: Path, read: list[Path], damage: str
) -> None:
    expected = pixels(load(tmp_path, source))
    (copy,) = (tmp_path / "copies").glob("*.safetensors")
    content = bytearray(copy.read_bytes())
    if damage == "a byte":
        content[-1000] ^= 0xFF
    elif damage == "an end":
        del content[-1000:]
    elif damage == "a header":
        content[9:20] = b"x" * 11
    if damage == "a note":
        copy.with_suffix(".json").write_text("{")
    else:
        copy.write_bytes(content)
    assert pixels(load(tmp_path, source)) == expected
    assert len(read) == 2
    assert pixels(load(tmp_path, source)) == expected
    assert len(read) == 2


def test_a_copy_in_another_format_is_made_anew(
    tmp_path: Path, source: Path, read: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(weight_cache, "_FORMAT", "1")
        load(tmp_path, source)
    load(tmp_path, source)
    load(tmp_path, source)
    assert len(read) == 2


def test_a_copy_that_was_only_touched_is_summed_up_and_used(
    tmp_path: Path, source: Path, read: list[Path]
) -> None:
    load(tmp_path, source)
    (copy,) = (tmp_path / "copies").glob("*.safetensors")
    copy.touch()
    load(tmp_path, source)
    assert len(read) == 1


def test_copies_keep_to_their_budget_the_least_recently_used_going_first(
    tmp_path: Path, source: Path, other: Path, read: list[Path]
) -> None:
    size = load(tmp_path, source).nbytes
    room_for_one = int(size * 1.5)
    load(tmp_path, other, room_for_one)
    assert len(list((tmp_path / "copies").glob("*.safetensors"))) == 1
    load(tmp_path, source, room_for_one)
    assert read == [source, other, source]


def test_none_is_made_where_there_is_no_room_or_no_need(
    tmp_path: Path, source: Path, read: list[Path]
) -> None:
    load(tmp_path, source, most_bytes=1000)
    small = Loader("cpu", Fingerprints(), WeightCache(tmp_path / "copies", PLENTY))
    small.load("model", source)
    assert not list(tmp_path.rglob("copies/*"))
    (tmp_path / "copies").write_text("no folder")
    assert load(tmp_path, source).name == "model"


def test_another_process_can_open_a_copy_as_soon_as_it_is_there(
    tmp_path: Path, source: Path, read: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, seen = Path.replace, list[Path]()

    def replaced(self: Path, target: Path) -> Path:
        moved = real(self, target)
        if target.suffix == ".safetensors":
            seen.append(target)
            if len(seen) == 1:
                load(tmp_path, source)
        return moved

    monkeypatch.setattr(Path, "replace", replaced)
    load(tmp_path, source)
    load(tmp_path, source)
    assert len(seen) == 1
    assert read == [source]


def test_what_a_dead_process_left_is_removed_and_not_what_a_living_one_writes(
    tmp_path: Path, source: Path
) -> None:
    folder = tmp_path / "copies"
    folder.mkdir()
    left, written = folder / "a-float32.7.partial", folder / "a-float32.8.partial"
    left.write_bytes(b"x")
    with written.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        load(tmp_path, source)
        assert list(folder.glob("*.partial")) == [written]


def test_a_disk_that_fills_up_while_a_copy_is_written_leaves_none(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, added = SafetensorsWriter.add, list[str]()

    def add(self: SafetensorsWriter, name: str, tensor: torch.Tensor) -> None:
        added.append(name)
        if len(added) > 50:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(self, name, tensor)

    monkeypatch.setattr(SafetensorsWriter, "add", add)
    model = load(tmp_path, source)
    assert model.name == "model"
    assert added
    assert not list((tmp_path / "copies").iterdir())


def test_a_loading_that_waits_until_another_has_written_its_copy_can_be_stopped(
    tmp_path: Path, source: Path, other: Path
) -> None:
    class Stopped(Exception):
        pass

    models, begun, end = loader(tmp_path), Event(), Event()

    def hold(_share: float) -> None:
        begun.set()
        end.wait(10)
        end.set()

    def stop(_share: float) -> None:
        raise Stopped

    first = Thread(target=models.load, args=("model", source), kwargs={"on_progress": hold})
    first.start()
    assert begun.wait(60)
    with pytest.raises(Stopped):
        models.load("other", other, on_progress=stop)
    assert not end.is_set() and first.is_alive()
    end.set()
    first.join()


def test_a_fingerprint_is_computed_once_for_as_long_as_a_file_stays(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hashlib

    kept = tmp_path / "fingerprints.json"
    expected = hashlib.sha256(source.read_bytes()).hexdigest()
    assert Fingerprints(kept).known(source) is None
    assert Fingerprints(kept).of(source) == expected
    assert Fingerprints(kept).known(source) == expected
    source.write_bytes(source.read_bytes() + b"x")
    assert Fingerprints(kept).known(source) is None
    kept.write_text("{broken")
    assert Fingerprints(kept).of(source) != expected


def test_progress_rises_to_the_whole(source: Path) -> None:
    told: list[float] = []
    Loader("cpu", Fingerprints()).load("model", source, on_progress=told.append)
    assert told == sorted(told)
    assert len(told) > 100
    assert told[-1] == 1
