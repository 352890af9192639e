"""Small files that would take much memory are refused before anything is allocated.

What they declare is more than any machine has: where it was allocated, that would fail.
"""

import codecs
import io
import pickle
import re
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch import _utils as rebuilding

from stable_diffusion.errors import LoraMismatch, UnreadableModel
from stable_diffusion.families.tiny import TINY
from stable_diffusion.load_model import load_model
from stable_diffusion.lora import read_lora, with_loras
from stable_diffusion.lora.layer_change import LayerChange
from stable_diffusion.model import Model
from stable_diffusion.textual_inversion import read_embedding
from stable_diffusion.tiny import PATHS
from stable_diffusion.weights.checkpoint import MAX_HEADER_BYTES, open_checkpoint
from stable_diffusion.weights.prediction import prediction_beside

HUGE = 2**46  # bytes: 70 TB


class Storage:
    """Is pickled as a storage of HUGE bytes."""


class Call:
    """Is pickled as the call of a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.called = function, arguments

    def __reduce__(self) -> Any:
        return self.called


class StoragePickler(pickle.Pickler):
    def persistent_id(self, obj: Any) -> Any:
        if isinstance(obj, Storage):
            return ("storage", torch.FloatStorage, "0", "cpu", HUGE // 4, None)
        return None


def legacy_file(content: Any) -> bytes:
    """As torch wrote files before 1.6."""
    file = io.BytesIO()
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    for part in (0x1950A86A20F9469CFC6C, 1001, system, content, ["0"]):
        StoragePickler(file, protocol=2).dump(part)
    return file.getvalue()


def zip_file(content: Any, record: bytes = b"", compression: int = zipfile.ZIP_STORED) -> bytes:
    """As torch writes files now."""
    pickled, file = io.BytesIO(), io.BytesIO()
    StoragePickler(pickled, protocol=2).dump(content)
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in (
            ("data.pkl", pickled.getvalue()),
            ("data/0", record),
            ("version", b"3\n"),
            ("byteorder", b"little"),
        ):
            archive.writestr(f"archive/{name}", data)
    return file.getvalue()


def saved(content: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


HUGE_STORAGE = Call(
    rebuilding._rebuild_tensor_v2, Storage(), 0, (HUGE // 4,), (1,), False, OrderedDict()
)


def doubled(levels: int) -> tuple[Any, ...]:
    """Tuples, each of which holds the one before twice."""
    made: tuple[Any, ...] = (1,)
    for _ in range(levels):
        made = (made, made)
    return made


BOMBS = {
    "tuples whose hash takes ages": zip_file([doubled(64)]),
    "strides of zero": saved({"*": torch.zeros(1).half().expand(2**22, 2**23)}),
    "a storage the file does not hold": zip_file({"*": HUGE_STORAGE}, b"1234"),
    "such a storage in the old format": legacy_file({"*": HUGE_STORAGE}),
    "a call of bytearray": zip_file({"*": Call(bytearray, HUGE)}),
    "the same in the old format": legacy_file({"*": Call(bytearray, HUGE)}),
    "a new storage": zip_file({"*": Call(torch.FloatStorage, HUGE // 4)}),
    "a new tensor": zip_file({"*": Call(torch.FloatTensor, HUGE // 4)}),
    "a tensor without a storage": zip_file(
        {"*": Call(rebuilding._rebuild_device_tensor_from_numpy, [0], torch.float, "cpu", False)}
    ),
    "a compressed archive": zip_file({"*": torch.float16}, bytes(2**24), zipfile.ZIP_DEFLATED),
    "a tower of lists": b"\x80\x02" + b"]" * 9_000 + b"a" * 8_999 + b".",
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_a_pickle_that_declares_more_than_it_has_is_refused(tmp_path: Path, bomb: bytes) -> None:
    assert len(bomb) < 20_000
    for name in ("bomb.pt", "bomb.ckpt", "bomb.pth", "bomb.bin"):
        (tmp_path / name).write_bytes(bomb)
        with pytest.raises(UnreadableModel, match="bomb"):
            open_checkpoint(tmp_path / name)
        with pytest.raises(UnreadableModel, match="bomb"):
            read_embedding(tmp_path / name)


class Repeated:
    """Is pickled as many calls of one function with one argument, which the file has once."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.calls = [Call(function, *arguments) for _ in range(1000)]


@pytest.mark.parametrize(
    "repeated",
    [
        Repeated(codecs.encode, "x" * 5000, "latin1"),
        Repeated(torch.Size, tuple(range(2000))),
        Repeated(set, list(range(2000))),
        Repeated(OrderedDict, [(number, 1) for number in range(500)]),
        Repeated(Counter, dict.fromkeys(range(1000), 1)),
    ],
    ids=["bytes", "sizes", "sets", "dictionaries", "counters"],
)
def test_copies_of_an_argument_count(tmp_path: Path, repeated: Repeated) -> None:
    path = tmp_path / "copies.pt"
    path.write_bytes(zip_file({"*": repeated.calls}))
    assert path.stat().st_size < 50_000
    with pytest.raises(UnreadableModel, match="larger than the file"):
        open_checkpoint(path)


def test_tensors_that_share_a_storage_are_counted_each_time(tmp_path: Path) -> None:
    storage = torch.zeros(2**16)
    torch.save({str(number): storage[:] for number in range(100)}, tmp_path / "many.pth")
    with pytest.raises(UnreadableModel, match="larger than the file"):
        open_checkpoint(tmp_path / "many.pth")
    torch.save({"one": storage, "other": storage[:]}, tmp_path / "two.pth")
    assert open_checkpoint(tmp_path / "two.pth").names == {"one", "other"}


@pytest.mark.parametrize("zipped", [True, False])
def test_files_of_either_format_are_read_as_before(tmp_path: Path, zipped: bool) -> None:
    vectors = torch.randn(3, 48)
    path = tmp_path / "shiny.pt"
    content = {"string_to_token": {"*": 265}, "string_to_param": {"*": vectors}, "step": None}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    assert torch.equal(read_embedding(path), vectors)
    path = tmp_path / "old.ckpt"
    weights = {"state_dict": OrderedDict(load_file(PATHS[0])), "epoch": 7}
    torch.save(weights, path, _use_new_zipfile_serialization=zipped)
    assert load_model(path, name="old").family is TINY


def test_a_long_header_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "header.safetensors"
    with path.open("wb") as file:
        file.write((MAX_HEADER_BYTES + 1).to_bytes(8, "little") + b"{")
        file.truncate(MAX_HEADER_BYTES + 100)
    with pytest.raises(UnreadableModel, match=f"its header has {MAX_HEADER_BYTES + 1} bytes"):
        open_checkpoint(path)


@pytest.mark.parametrize(
    "content", ["[" * 5000, "{" * 5000, "- " * 5000, "a: " + " " * 9 * 2**20, "model: 1", "", "\0"]
)
def test_a_configuration_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.yaml").write_text(content)
    with pytest.raises(UnreadableModel, match=r"x\.yaml"):
        prediction_beside(tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    ("content", "prediction"),
    [
        ("model: {params: {parameterization: v}}", "v"),
        ("model:\n  target: x\n  params:\n    parameterization: 'eps'\n", "epsilon"),
        ("model: {target: x}", "epsilon"),
        ("model: {params: {linear_start: 0.1}}", "epsilon"),
    ],
)
def test_a_configuration_is_read(tmp_path: Path, content: str, prediction: str) -> None:
    (tmp_path / "x.yaml").write_text(content)
    assert prediction_beside(tmp_path / "x.safetensors") == prediction


def test_the_halves_of_a_lora_are_not_multiplied_to_a_huge_weight(
    tmp_path: Path, tiny: Model
) -> None:
    path = tmp_path / "outer.safetensors"
    layer = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"
    up, down = torch.zeros(2**20, 1).half(), torch.zeros(1, 2**20).half()
    save_file({f"{layer}.lora_up.weight": up, f"{layer}.lora_down.weight": down}, path)
    with pytest.raises(LoraMismatch, match=r"\(1048576, 1048576\), not"):
        with_loras(tiny, [(read_lora(path), 1.0)])
    for odd in ({"lora_up.weight": torch.zeros(3)}, {"lora_down.weight": torch.zeros(0, 3)}):
        halves = {"lora_up.weight": up, "lora_down.weight": down} | odd
        save_file({f"{layer}.{name}": half for name, half in halves.items()}, path)
        with pytest.raises(LoraMismatch, match=layer):
            with_loras(tiny, [(read_lora(path), 1.0)])


MANY = 2**20
W, NORM = torch.ones(64, 64), torch.ones(64)


@pytest.mark.parametrize(
    ("weight", "factors", "says"),
    [
        (
            W,
            {"lokr_w1": (1, 1), "lokr_w2_a": (1, MANY), "lokr_w2_b": (1, MANY), "lokr_t2": (1, 1)},
            "multiply to more than",
        ),
        (W, {"a1": (MANY, 1), "a2": (1, 64), "b1": (64, 1), "b2": (1, 64)}, "(64, 1048576), not"),
        (W, {"oft_blocks": (1, MANY, 1)}, "not square"),
        (NORM, {"weight": (MANY,), "on_input": ()}, "1048576 scales, not"),
        (NORM, {"up": (64, 1), "down": (1, 1), "dora_scale": (MANY,)}, "1048576 norms, not"),
        (W, {"up": (4096, 1), "down": (MANY, 1), "mid": (1, MANY, 1, 1)}, "multiply to more than"),
    ],
    ids=["LoKr", "GLoRA", "OFT", "IA3", "DoRA", "LoCon"],
)
def test_no_method_builds_much_more_than_its_weight(
    weight: Tensor, factors: dict[str, tuple[int, ...]], says: str
) -> None:
    tensors = {role: torch.zeros(shape) for role, shape in factors.items()}
    change = LayerChange(tensors, {role: role for role in tensors})
    # the reason shows that it was refused before the product
    with pytest.raises(ValueError, match=re.escape(says)):
        change.of_weight(weight)
