"""docs/models.md says which files are read: each row of its table is tried with such a file."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from stable_diffusion.errors import UnreadableModel
from stable_diffusion.families.tiny import TINY
from stable_diffusion.load_model import load_model
from stable_diffusion.weights.saving import original_tensors
from tests.stable_diffusion import layouts
from tests.stable_diffusion.layouts import random_networks

pytestmark = pytest.mark.heavy

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
VAE = "first_stage_model."
UNET = "model.diffusion_model."
QUERY = UNET + "middle_block.1.transformer_blocks.0.attn2.to_q.weight"
CONV_IN = UNET + "input_blocks.0.0.weight"


def rows() -> dict[str, str]:
    """What happens to each sort of file, as the page says it."""
    table = PAGE.read_text().split("| file | what happens |\n")[1].split("\n\n")[0]
    cells = (line.strip("| ").split(" | ") for line in table.splitlines()[1:])
    return {file.strip(): happens.strip() for file, happens in cells}


def weights() -> dict[str, Tensor]:
    return original_tensors(random_networks(TINY), TINY, torch.float32)


def saved(folder: Path, tensors: dict[str, Tensor]) -> Path:
    path = folder / "model.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return path


def without(prefix: str) -> Callable[[Path], Path]:
    return lambda folder: saved(
        folder, {n: t for n, t in weights().items() if not n.startswith(prefix)}
    )


def plus(**tensors: Tensor) -> Callable[[Path], Path]:
    return lambda folder: saved(folder, weights() | tensors)


def text(words: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / "model.safetensors"
        path.write_text(words)
        return path

    return write


def resized(change: int) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = saved(folder, weights())
        content = path.read_bytes()
        path.write_bytes(content + bytes(change) if change > 0 else content[:change])
        return path

    return write


def float8(folder: Path, **factors: Tensor) -> Path:
    layer = QUERY.removesuffix(".weight")
    named = {f"{layer}.{name}": factor for name, factor in factors.items()}
    tensors = weights()
    return saved(folder, tensors | {QUERY: tensors[QUERY].to(torch.float8_e4m3fn)} | named)


def int8(folder: Path) -> Path:
    tensors = weights()
    return saved(folder, tensors | {QUERY: torch.ones_like(tensors[QUERY]).char()})


def wrapped(folder: Path) -> Path:
    return saved(folder, {f"state_dict.{name}": t for name, t in weights().items()})


def averages(folder: Path) -> Path:
    tensors = weights()
    others = {name: t for name, t in tensors.items() if not name.startswith(UNET)}
    return saved(folder, others | layouts.averaged(tensors))


def with_trainer(folder: Path) -> Path:
    path = folder / "model.ckpt"
    torch.save({"state_dict": weights(), "callbacks": {Path: 1}, "epoch": 3}, path)
    return path


def with_vae_beside(folder: Path) -> Path:
    vae = {n.removeprefix(VAE): t for n, t in weights().items() if n.startswith(VAE)}
    save_file(vae, folder / "model.vae.safetensors")
    return without(VAE)(folder)


class Dangerous:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('it ran')",)


def dangerous(folder: Path) -> Path:
    path = folder / "model.ckpt"
    torch.save({"state_dict": weights(), "extra": Dangerous()}, path)
    return path


def written(write: layouts.Write) -> Callable[[Path], Path]:
    return lambda folder: write(random_networks(TINY), TINY, folder, torch.float32)


FILES: dict[str, Callable[[Path], Path]] = {
    "original layout, `.safetensors` or `.ckpt`": written(layouts.ckpt),
    "folder in diffusers' layout": written(layouts.diffusers),
    "names behind `state_dict.`, `module.` or `_orig_mod.`": wrapped,
    "`.ckpt` with callbacks or numbers of a trainer": with_trainer,
    "only averaged weights (`model_ema`)": averages,
    "plain float8": float8,
    "scaled float8 (`scale_weight`, `weight_scale`)": lambda folder: float8(
        folder, scale_weight=torch.tensor(2.0)
    ),
    "further tensors that no network needs": plus(logit_scale=torch.zeros(1)),
    "an autoencoder beside it: `NAME.vae.safetensors`, `NAME.vae.pt`, `NAME.vae.ckpt`": (
        with_vae_beside
    ),
    "integers as weights (int8)": int8,
    "no autoencoder": without(VAE),
    "no text encoder": without("cond_stage_model."),
    "a tensor is missing": without(CONV_IN.replace("weight", "bias")),
    "other names than a model's": lambda folder: saved(
        folder, {n.removeprefix("model."): t for n, t in weights().items() if n.startswith(UNET)}
    ),
    "a LoRA": lambda folder: saved(folder, {"lora_unet_x.lora_up.weight": torch.zeros(1)}),
    "an autoencoder alone": lambda folder: saved(
        folder, {n: t for n, t in weights().items() if n.startswith(VAE)}
    ),
    "Stable Diffusion 3": lambda folder: saved(folder, {"joint_blocks.0.x": torch.zeros(1)}),
    "a depth model": plus(**{CONV_IN: torch.zeros(32, 5, 3, 3)}),
    "an HTML page": text("<!doctype html><title>Sign in</title>"),
    "a Git LFS pointer": text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"),
    "another text, such as a server's error": text("Entry not found"),
    "a truncated `.safetensors`": resized(-1000),
    "zeros after the end": resized(1000),
    "a pickle that would run code": dangerous,
}


def test_every_row_is_tried() -> None:
    assert list(rows()) == list(FILES)


@pytest.mark.parametrize("file", FILES)
def test_what_the_page_says_of_a_file_happens(file: str, tmp_path: Path) -> None:
    says = rows()[file]
    path = FILES[file](tmp_path)
    if refusal := re.fullmatch('refused: "(.*)"', says):
        with pytest.raises(UnreadableModel, match=re.escape(refusal[1])):
            load_model(path, name="model")
        return
    assert says.startswith("read")
    try:
        model = load_model(path, name="model")
    except UnreadableModel:
        assert says.endswith("or refused")
        return
    assert model.vae == ("model.vae.safetensors" if "that autoencoder" in says else "")
