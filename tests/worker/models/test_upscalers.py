"""The upscalers folder: which of its files is used, and how often it is loaded."""

import threading
from pathlib import Path

import pytest
import torch

from stable_diffusion import tiny
from stable_diffusion.errors import ModelNotFound, UnreadableModel
from stable_diffusion.upscaling.rrdbnet import RRDBNet, RRDBShape
from stable_diffusion.upscaling.upscale import Upscaler
from worker.models.upscalers import Upscalers


def put(folder: Path, name: str) -> None:
    folder.mkdir(exist_ok=True)
    network = RRDBNet(RRDBShape(scale=4, features=4, blocks=1, growth=2))
    torch.save({"params_ema": network.state_dict()}, folder / name)


def test_without_a_folder_the_shipped_upscaler_is_used(tmp_path: Path) -> None:
    upscaler = Upscalers(tmp_path / "none").get()
    assert (upscaler.name, upscaler.scale) == (tiny.UPSCALER_PATH.stem, 2)


def test_an_upscaler_in_the_folder_takes_precedence_over_the_shipped_one(tmp_path: Path) -> None:
    upscalers = Upscalers(tmp_path)
    assert upscalers.get().name == tiny.UPSCALER_PATH.stem
    put(tmp_path, "b.pth")
    assert upscalers.get().name == "b"
    put(tmp_path, "a.pth")
    (tmp_path / "0-notes.txt").write_text("not an upscaler")
    (tmp_path / ".half.pth").write_text("hidden")
    assert upscalers.get().name == "a"


@pytest.mark.parametrize("name", ["b", "b.pth"])
def test_an_upscaler_can_be_chosen_by_name(tmp_path: Path, name: str) -> None:
    put(tmp_path, "a.pth")
    put(tmp_path, "b.pth")
    assert Upscalers(tmp_path, name).get().name == "b"
    assert Upscalers(tmp_path, tiny.UPSCALER_PATH.stem).get().scale == 2


def test_the_error_for_a_missing_upscaler_lists_the_installed_ones(tmp_path: Path) -> None:
    put(tmp_path, "a.pth")
    with pytest.raises(ModelNotFound, match=r"'b' is not installed; installed: a\.pth, "):
        Upscalers(tmp_path, "b").get()


def test_the_error_for_an_unreadable_upscaler_names_its_file(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_text("<html>not found</html>")
    with pytest.raises(UnreadableModel, match=r"a\.pth"):
        Upscalers(tmp_path).get()


def test_simultaneous_jobs_share_one_upscaler(tmp_path: Path) -> None:
    put(tmp_path, "a.pth")
    upscalers = Upscalers(tmp_path)
    start = threading.Barrier(4)
    got: list[Upscaler] = []

    def get() -> None:
        start.wait()
        got.append(upscalers.get())

    threads = [threading.Thread(target=get) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 4
    assert len({id(upscaler) for upscaler in got}) == 1
