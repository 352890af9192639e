"""Pickles as people have them open without running code; what would run code does nothing."""

import argparse
import builtins
import collections
import logging
import os
import pathlib
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from stable_diffusion.errors import UnreadableModel
from stable_diffusion.weights.checkpoint import open_checkpoint
from stable_diffusion.weights.pickles import read_pickle

TENSORS = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(3).half()}


@pytest.fixture
def lightning(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module of Lightning that is there when the file is written, and gone when it is read."""
    module = ModuleType("pytorch_lightning.callbacks.model_checkpoint")

    class ModelCheckpoint:
        def __init__(self) -> None:
            self.best = pathlib.PurePosixPath("/last.ckpt")

        def __setstate__(self, state: object) -> None:
            raise AssertionError("the class itself was used")

    ModelCheckpoint.__module__ = module.__name__
    ModelCheckpoint.__qualname__ = "ModelCheckpoint"
    module.ModelCheckpoint = ModelCheckpoint  # type: ignore[attr-defined]
    for package in ("pytorch_lightning", "pytorch_lightning.callbacks"):
        monkeypatch.setitem(sys.modules, package, ModuleType(package))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def trainer(lightning: Any) -> dict[object, object]:
    """What a trainer saves beside the tensors."""
    counts: collections.defaultdict[str, int] = collections.defaultdict(int)
    counts["steps"] = 3
    return {
        "state_dict": TENSORS,
        "callbacks": {lightning.ModelCheckpoint: {"best": np.float64(0.25)}},
        "checkpoint": lightning.ModelCheckpoint(),
        "loops": counts,
        "options": argparse.Namespace(lr=1e-4),
        "loss": np.float32(1.5),
        "history": np.zeros(3),
        "path": pathlib.PurePosixPath("/training"),
        "exact": complex(1, 2),
    }


class Filled(ModuleType):
    """A module of containers that is gone when the file is read."""

    def __init__(self) -> None:
        super().__init__("lightning_utilities")
        for base in (dict, collections.OrderedDict, list, set):
            made = type(f"My{base.__name__}", (base,), {"__module__": self.__name__})
            setattr(self, made.__name__, made)


@pytest.mark.parametrize("zipped", [True, False])
def test_containers_of_other_types_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, zipped: bool
) -> None:
    filled: Any = Filled()
    monkeypatch.setitem(sys.modules, filled.__name__, filled)
    path = tmp_path / "sd.ckpt"
    others = {
        "hyper_parameters": filled.Mydict(lr=1e-4, more=filled.MyOrderedDict(a=1, b=2)),
        "losses": filled.Mylist([1, 2, 3]),
        "seen": filled.Myset([1]),
        "recent": collections.deque([1, 2], maxlen=5),
        "counts": collections.Counter("abba"),
    }
    torch.save({"state_dict": TENSORS, **others}, path, _use_new_zipfile_serialization=zipped)
    del sys.modules[filled.__name__]
    checkpoint = open_checkpoint(path)
    assert checkpoint.names == TENSORS.keys()
    assert torch.equal(checkpoint.read("a.weight"), TENSORS["a.weight"])


def test_tensors_in_float8_are_read_from_a_pickle(tmp_path: Path) -> None:
    path = tmp_path / "sd.ckpt"
    weight = TENSORS["a.weight"].to(torch.float8_e4m3fn)
    torch.save({"state_dict": {"a.weight": weight}}, path)
    read = open_checkpoint(path).read("a.weight")
    assert (read.dtype, read.tolist()) == (weight.dtype, weight.tolist())


def test_another_protocol_is_named(tmp_path: Path) -> None:
    path = tmp_path / "sd.ckpt"
    torch.save(TENSORS, path, pickle_protocol=4)
    with pytest.raises(UnreadableModel, match="protocol 4, and only 2"):
        open_checkpoint(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_what_a_trainer_has_saved_beside_the_tensors_is_left_out(
    lightning: ModuleType, tmp_path: Path, caplog: pytest.LogCaptureFixture, *, zipped: bool
) -> None:
    path = tmp_path / "sd.ckpt"
    torch.save(trainer(lightning), path, _use_new_zipfile_serialization=zipped)
    del sys.modules[lightning.__name__]
    with caplog.at_level(logging.DEBUG):
        checkpoint = open_checkpoint(path)
    assert checkpoint.names == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert torch.equal(checkpoint.read(name), tensor)
        assert checkpoint.read(name).dtype == tensor.dtype
    assert "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint" in caplog.text
    assert "torch." not in caplog.text.partition("left out")[2]


def test_the_names_that_one_file_allows_are_not_allowed_for_the_next(
    lightning: ModuleType, tmp_path: Path
) -> None:
    path = tmp_path / "sd.ckpt"
    torch.save(trainer(lightning), path)
    read_pickle(path)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)


class Trap:
    """Unpickled as pickle does it, it calls a function."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self._calls = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self._calls


def traps(canary: Path) -> dict[str, Trap]:
    """Ways to run code of a pickle, each of which makes the canary's file."""
    code = f"open({str(canary)!r}, 'w').close()"
    return {
        "system": Trap(os.system, f"touch {canary}"),
        "eval": Trap(builtins.eval, code),
        "exec": Trap(builtins.exec, code),
        "method": Trap(Path.touch, canary),
        "import": Trap(__import__, "antigravity"),
        "popen": Trap(subprocess.Popen, ["touch", str(canary)]),
        "torch.load": Trap(torch.load, str(canary)),
        "hub": Trap(torch.hub.load, "a/b", "c"),
    }


@pytest.mark.parametrize("name", sorted(traps(Path())))
@pytest.mark.parametrize("zipped", [True, False, None])
def test_no_pickle_runs_code(tmp_path: Path, name: str, zipped: bool | None) -> None:
    canary, path = tmp_path / "canary", tmp_path / "evil.ckpt"
    content = {"state_dict": TENSORS, "evil": traps(canary)[name]}
    if zipped is None:
        path.write_bytes(pickle.dumps({"evil": traps(canary)[name]}, protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=zipped)
    modules = set(sys.modules)
    try:
        opened = open_checkpoint(path)
    except UnreadableModel as error:
        assert "evil.ckpt" in str(error)
    else:
        assert opened.names <= TENSORS.keys()
    assert not canary.exists()
    assert "antigravity" not in set(sys.modules) - modules


@pytest.mark.parametrize("name", ["system", "eval", "exec", "method", "import", "popen"])
def test_the_same_pickles_would_run_code_if_pickle_read_them(tmp_path: Path, name: str) -> None:
    canary = tmp_path / "canary"
    pickled = pickle.dumps(traps(canary)[name], protocol=2)
    if name == "import":
        assert b"antigravity" in pickled
        return
    loaded = pickle.loads(pickled)
    if isinstance(loaded, subprocess.Popen):
        loaded.wait()
    assert canary.exists()


def test_a_tensor_that_torch_cannot_rebuild_is_not_left_out_in_silence(tmp_path: Path) -> None:
    path = tmp_path / "strange.ckpt"
    torch.save({"a": torch.ones(2), "b": torch.ones(2)}, path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes().replace(b"_rebuild_tensor_v2", b"_rebuild_tensor_v9"))
    with pytest.raises(UnreadableModel, match=r"strange\.ckpt"):
        open_checkpoint(path)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda tensors: {"model": tensors},
        lambda tensors: {"model": {"state_dict": tensors}, "epoch": 3},
        lambda tensors: {f"state_dict.{name}": each for name, each in tensors.items()},
        lambda tensors: {f"module.{name}": each for name, each in tensors.items()},
        lambda tensors: {f"_orig_mod.{name}": each for name, each in tensors.items()},
        lambda tensors: {f"module.state_dict.{name}": each for name, each in tensors.items()},
        lambda tensors: {
            "state_dict": {f"module.{name}": each for name, each in tensors.items()}
            | {"step": torch.zeros(())}
        },
    ],
    ids=[
        "model",
        "model.state_dict",
        "state_dict.",
        "module.",
        "torch.compile",
        "module.state_dict.",
        "DataParallel in Lightning",
    ],
)
def test_tensors_are_found_in_what_trainers_wrap_around_them(
    tmp_path: Path, wrap: Callable[[dict[str, torch.Tensor]], object]
) -> None:
    path = tmp_path / "wrapped.ckpt"
    torch.save(wrap(TENSORS), path)
    checkpoint = open_checkpoint(path)
    assert checkpoint.names - {"step"} == TENSORS.keys()
    assert torch.equal(checkpoint.read("a.weight"), TENSORS["a.weight"])


def test_a_dictionary_that_contains_itself_is_opened_once(tmp_path: Path) -> None:
    path = tmp_path / "round.ckpt"
    content: dict[str, object] = {**TENSORS}
    content["state_dict"] = content
    torch.save(content, path)
    assert open_checkpoint(path).names == TENSORS.keys()
