"""Upscalers as people download them: opened, told apart, refused; and pictures of any size."""

import pickle
import threading
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from stable_diffusion.errors import ModelNotFound, NumericalError, UnreadableModel
from stable_diffusion.tiny import PATH, UPSCALER_PATH
from stable_diffusion.upscaling import upscale as module
from stable_diffusion.upscaling.rrdbnet import RRDBNet, RRDBShape, current_names, shape_of
from stable_diffusion.upscaling.upscale import Upscaler, doubled, load_upscaler, upscale

X4 = RRDBShape(scale=4, features=8, blocks=2, growth=4)
X2 = RRDBShape(scale=2, features=16, blocks=1, growth=8)


@pytest.fixture(scope="module")
def shipped() -> Upscaler:
    torch.set_num_threads(1)
    return load_upscaler(UPSCALER_PATH)


def tensors_of(shape: RRDBShape) -> dict[str, Tensor]:
    torch.manual_seed(0)
    return RRDBNet(shape).state_dict()


def noise(width: int, height: int) -> Image.Image:
    pixels = numpy.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=numpy.uint8)
    return Image.fromarray(pixels)


def photo(width: int, height: int) -> Image.Image:
    """Soft and hard edges, of any size."""
    return noise(9, 7).resize((width, height), Image.Resampling.BICUBIC)


def as_published(tensors: dict[str, Tensor], path: Path) -> None:
    torch.save({"params": {}, "params_ema": tensors}, path)


def as_anime_6b(tensors: dict[str, Tensor], path: Path) -> None:
    torch.save({"params": tensors}, path)


def as_before_torch_1_6(tensors: dict[str, Tensor], path: Path) -> None:
    torch.save(tensors, path, _use_new_zipfile_serialization=False)


def in_half_precision(tensors: dict[str, Tensor], path: Path) -> None:
    torch.save({name: tensor.half() for name, tensor in tensors.items()}, path)


@pytest.mark.parametrize("shape", [X4, X2], ids=["x4", "x2"])
@pytest.mark.parametrize(
    "save", [as_published, as_anime_6b, as_before_torch_1_6, in_half_precision]
)
def test_a_pth_file_tells_what_it_is(
    tmp_path: Path, shape: RRDBShape, save: Callable[[dict[str, Tensor], Path], None]
) -> None:
    path = tmp_path / "named-after-nothing.pth"
    save(tensors_of(shape), path)
    upscaler = load_upscaler(path)
    assert upscaler.network.shape == shape
    assert (upscaler.name, upscaler.scale) == ("named-after-nothing", shape.scale)
    large = upscale(upscaler, noise(13, 9))
    assert large.size == (13 * shape.scale, 9 * shape.scale)


@pytest.mark.parametrize("shape", [X4, X2], ids=["x4", "x2"])
def test_the_picture_is_the_networks_own(tmp_path: Path, shape: RRDBShape) -> None:
    path = tmp_path / "some.safetensors"
    save_file(tensors_of(shape), path)
    network = RRDBNet(shape).eval()
    network.load_state_dict(tensors_of(shape))
    image = Image.new("RGB", (64, 64), (200, 30, 90))  # the surroundings are what is inside
    with torch.inference_mode():
        pixels = torch.tensor((200, 30, 90)).float().div(255).view(1, 3, 1, 1)
        expected = network(pixels.expand(1, 3, 256, 256))[0, :, 256, 256].clamp(0, 1) * 255
    got = upscale(load_upscaler(path), image).getpixel((16, 16))
    assert torch.allclose(torch.tensor(got).float(), expected, atol=0.6)


def test_the_published_networks_have_the_published_sizes() -> None:
    # RealESRGAN_x4plus, RealESRGAN_x2plus and RealESRGAN_x4plus_anime_6B
    for shape, tensors, numbers in (
        (RRDBShape(4, 64, 23, 32), 702, 16_697_987),
        (RRDBShape(2, 64, 23, 32), 702, 16_703_171),
        (RRDBShape(4, 64, 6, 32), 192, 4_467_779),
    ):
        with torch.device("meta"):
            state = RRDBNet(shape).state_dict()
        assert (len(state), sum(tensor.numel() for tensor in state.values())) == (tensors, numbers)
        assert shape_of({name: tuple(tensor.shape) for name, tensor in state.items()}) == shape


def test_files_of_the_first_esrgan_open_too(tmp_path: Path) -> None:
    tensors = tensors_of(X4)
    first = {
        "conv_first": "model.0",
        "conv_body": f"model.1.sub.{X4.blocks}",
        "conv_up1": "model.3",
        "conv_up2": "model.6",
        "conv_hr": "model.8",
        "conv_last": "model.10",
    }
    old: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        place, _, kind = name.rpartition(".")
        if place.startswith("body."):
            _, block, dense, convolution = place.split(".")
            place = f"model.1.sub.{block}.{dense.upper()}.{convolution}.0"
        old[f"{first.get(place, place)}.{kind}"] = tensor
    assert current_names(frozenset(old)).keys() == tensors.keys()
    save_file(old, tmp_path / "old.safetensors")
    save_file(tensors, tmp_path / "new.safetensors")
    pictures = [
        upscale(load_upscaler(tmp_path / f"{age}.safetensors"), noise(8, 8)).tobytes()
        for age in ("old", "new")
    ]
    assert pictures[0] == pictures[1]


def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    canary = tmp_path / "canary"

    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (canary,)

    path = tmp_path / "evil.pth"
    torch.save({"params_ema": tensors_of(X2), "more": Trap()}, path)
    with pytest.raises(UnreadableModel, match=r"evil\.pth"):
        load_upscaler(path)
    with path.open("wb") as out:
        pickle.dump({"params_ema": Trap()}, out)
    with pytest.raises(UnreadableModel, match=r"evil\.pth"):
        load_upscaler(path)
    assert not canary.exists()


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"PK\x03\x04", b"\x80\x02]q\x00."])
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"broken.{suffix}"
    path.write_bytes(content)
    with pytest.raises(UnreadableModel, match="broken"):
        load_upscaler(path)


def test_another_network_is_refused_with_what_was_found() -> None:
    with pytest.raises(UnreadableModel, match=r"not an RRDBNet .* found: cond_stage_model"):
        load_upscaler(PATH)


def test_missing_misshapen_and_unknown_tensors_are_named(tmp_path: Path) -> None:
    tensors = tensors_of(X4)
    del tensors["conv_hr.bias"]
    tensors["conv_last.weight"] = torch.zeros(4, 8, 3, 3)
    tensors["extra"] = torch.zeros(1)
    path = tmp_path / "partial.safetensors"
    save_file(tensors, path)
    with pytest.raises(UnreadableModel, match=r"conv_hr\.bias, conv_last\.weight, extra"):
        load_upscaler(path)


def test_an_upscaler_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"gone\.pth"):
        load_upscaler(tmp_path / "gone.pth")


@pytest.mark.parametrize("size", [(1, 1), (1, 70), (7, 5), (33, 64), (65, 31)])
def test_a_picture_of_any_size_becomes_twice_as_large(
    shipped: Upscaler, size: tuple[int, int]
) -> None:
    large = upscale(shipped, photo(*size))
    assert large.size == (2 * size[0], 2 * size[1])
    grey = upscale(shipped, Image.new("RGB", size, (128, 128, 128)))
    assert abs(numpy.asarray(grey, int) - 128).max() <= 2


def test_tiles_leave_no_seams(shipped: Upscaler, monkeypatch: pytest.MonkeyPatch) -> None:
    image = photo(150, 101)
    whole = numpy.asarray(upscale(shipped, image), int)
    monkeypatch.setattr(module, "LARGEST_TILE", 32)
    tiled = numpy.asarray(upscale(shipped, image), int)
    assert abs(tiled - whole).max() <= 1
    # and where the network's whole reach is within the overlap, nothing differs but rounding
    monkeypatch.setattr(module, "OVERLAP", shipped.network.shape.reach)
    tiled = numpy.asarray(upscale(shipped, image), int)
    assert abs(tiled - whole).max() <= 1
    assert (tiled != whole).mean() < 0.001


def test_what_is_farther_away_than_the_reach_changes_nothing() -> None:
    network = RRDBNet(RRDBShape(scale=2, features=8, blocks=1, growth=4)).eval()
    side, reach = 160, network.shape.reach
    torch.manual_seed(1)
    pictures = torch.rand(1, 3, side, side).double()
    changed = pictures.clone()
    changed[..., side // 2] = 0
    with torch.inference_mode():
        differs = (network.double()(pictures) != network.double()(changed)).any(1).any(1)[0]
    columns = differs.nonzero().flatten() // 2 - side // 2
    assert columns.min() >= -reach
    assert columns.max() <= reach


@pytest.mark.parametrize("shape", [RRDBShape(4, 64, 23, 32), RRDBShape(2, 64, 23, 32), X4, X2])
def test_a_tile_stays_within_its_memory(shape: RRDBShape) -> None:
    with torch.device("meta"):
        upscaler = Upscaler("some", RRDBNet(shape), torch.device("cpu"))
    assert 128 <= upscaler.tile <= module.LARGEST_TILE
    assert (upscaler.tile * shape.scale) ** 2 * shape.features <= module.TILE_VALUES
    assert upscaler.overlap % shape.unshuffle == 0


def test_the_same_picture_gives_the_same_bytes(shipped: Upscaler) -> None:
    assert upscale(shipped, photo(40, 40)).tobytes() == upscale(shipped, photo(40, 40)).tobytes()


def test_four_times_can_be_made_twice(tmp_path: Path) -> None:
    save_file(tensors_of(X4), tmp_path / "four.safetensors")
    upscaler = load_upscaler(tmp_path / "four.safetensors")
    assert doubled(upscaler, noise(10, 7)).size == (20, 14)


def test_it_can_be_stopped_between_tiles(
    shipped: Upscaler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGEST_TILE", 16)
    left = threading.Semaphore(3)

    class Stopped(Exception):
        pass

    def on_tile(share: float) -> None:
        if not left.acquire(blocking=False):
            raise Stopped

    with pytest.raises(Stopped):
        upscale(shipped, photo(64, 64), on_tile)
    assert not left.acquire(blocking=False)


def test_a_network_that_loses_itself_is_told_as_such(tmp_path: Path) -> None:
    tensors = {name: torch.full_like(t, torch.inf) for name, t in tensors_of(X2).items()}
    save_file(tensors, tmp_path / "lost.safetensors")
    with pytest.raises(NumericalError, match="lost"):
        upscale(load_upscaler(tmp_path / "lost.safetensors"), noise(8, 8))
