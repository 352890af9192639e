"""Trains the included upscaler from scratch: `python -m training.upscaler --minutes 36`.

A small RRDBNet that starts as an interpolation is trained on drawings and textures. Loss: L1 of the
pixels and of their differences along x and y (edges), without an adversarial loss, so details that
it cannot predict stay soft.
"""

import argparse
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from PIL import Image
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from stable_diffusion import tiny
from stable_diffusion.families.tiny import TINY
from stable_diffusion.image import to_image, to_tensor
from stable_diffusion.networks import decoded, moved, posterior
from stable_diffusion.upscaling.rrdbnet import RRDBNet, RRDBShape
from stable_diffusion.weights.checkpoint import open_checkpoint
from stable_diffusion.weights.state_dict_loading import load_networks
from training.degradation import degraded, halved
from training.drawings import draw
from training.interpolation import interpolator
from training.progress import SAVE_INTERVAL, Budget, IntervalTimer, save_state
from training.saving import save_half
from training.scenes import random_scene
from training.textures import texture

SHAPE = RRDBShape(scale=2, features=16, blocks=2, growth=8)
SEED = 21
PATCH = 40  # side of a training input, in pixels
EDGE = 4  # border of a training input that is context, as in a tile, and not part of the loss
BATCH = 8
PEAK = 4e-4
EMA_DECAY = 0.998  # of the moving average of the weights, which is the result
RECONSTRUCTED_SHARE = 0.25  # of drawings whose small version went through the autoencoder


@dataclass(frozen=True)
class TrainingPicture:
    """A large picture, and for some the small version as reconstructed by the autoencoder."""

    large: Image.Image
    reconstruction: Image.Image | None = None

    def pair(self, rng: random.Random) -> tuple[Image.Image, Image.Image]:
        """Random crops of the small picture, degraded anew each time, and of the large one."""
        side = self.large.width // 2
        left, top = rng.randrange(side - PATCH + 1), rng.randrange(side - PATCH + 1)
        window = (left, top, left + PATCH, top + PATCH)
        large = self.large.crop((2 * left, 2 * top, 2 * (left + PATCH), 2 * (top + PATCH)))
        if self.reconstruction:
            return self.reconstruction.crop(window), large
        return degraded(large, rng), large


def training_pictures(
    vae: AutoencoderKL, device: torch.device, drawings: int
) -> list[TrainingPicture]:
    """Equally many drawings, of 512 pixels, and textures, of 256 pixels."""
    rng = random.Random(SEED)
    pictures: list[TrainingPicture] = []
    for _ in range(drawings):
        large = draw(random_scene(rng), 512, 512, rng)
        small = halved(large, rng) if rng.random() < RECONSTRUCTED_SHARE else None
        pictures += [
            TrainingPicture(large, small and reconstructed(vae, small, device)),
            TrainingPicture(texture(256, rng)),
        ]
    return pictures


@torch.inference_mode()
def reconstructed(vae: AutoencoderKL, picture: Image.Image, device: torch.device) -> Image.Image:
    """Encode and decode a picture: img2img and upscaling see such pictures."""
    latents = posterior(vae, to_tensor(picture)[None].to(device)).mode()
    return to_image(decoded(vae, latents)[0].float().cpu())


def batch(
    pictures: Sequence[TrainingPicture], device: torch.device, rng: random.Random
) -> tuple[Tensor, Tensor]:
    """Small (n, 3, p, p) and large (n, 3, 2p, 2p), 0..1; augmented."""
    small: list[Tensor] = []
    large: list[Tensor] = []
    for _ in range(BATCH):
        turn, mirrored = rng.randrange(4), rng.random() < 0.5
        colours = rng.sample(range(3), 3)
        for tensors, image in zip((small, large), rng.choice(pictures).pair(rng), strict=True):
            pixels = torch.from_numpy(numpy.array(image)).permute(2, 0, 1)[colours]
            pixels = torch.rot90(pixels, turn, (1, 2))
            tensors.append(pixels.flip(2) if mirrored else pixels)
    return (
        torch.stack(small).to(device, torch.float32).div(255),
        torch.stack(large).to(device, torch.float32).div(255),
    )


def loss_of(output: Tensor, target: Tensor) -> Tensor:
    """L1 of the pixels and of their differences, for pictures in 0..1."""
    inner = slice(2 * EDGE, -2 * EDGE)
    error = (output - target)[..., inner, inner]
    edges = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
    return error.abs().mean() + edges


@dataclass
class UpscalerTrainer:
    """The network, the moving average of its weights, and the optimizer."""

    network: RRDBNet
    average: AveragedModel
    optimizer: torch.optim.Optimizer

    @classmethod
    def new(cls, device: torch.device) -> "UpscalerTrainer":
        """A trainer whose network interpolates."""
        network = moved(interpolator(SHAPE), device, channels_last=True)
        return cls(
            network,
            AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(EMA_DECAY)),
            torch.optim.Adam(network.parameters(), lr=PEAK, betas=(0.9, 0.99)),
        )

    def step(self, small: Tensor, large: Tensor, rate: float) -> float:
        """Train on one batch. Returns its loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss = loss_of(self.network(small.contiguous(memory_format=torch.channels_last)), large)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 0.5)
        self.optimizer.step()
        self.average.update_parameters(self.network)
        return loss.item()

    def state(self) -> dict[str, dict[str, Any]]:
        """The state for `save_state` and `resume`."""
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def resume(self, state: dict[str, Any]) -> None:
        """Restore a saved state."""
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])


def make_upscaler(
    folder: Path,
    minutes: float,
    device: torch.device,
    *,
    vae: AutoencoderKL | None = None,
    drawings: int = 160,
) -> RRDBNet:
    """Train until the minutes are spent; resumes a killed training.

    Args:
        folder: receives `upscaler.pt` every minute.
        vae: the tiny model's autoencoder; None: the included model's.
        drawings: number of drawings, and of textures.

    Returns:
        The network with the averaged weights, in evaluation mode.
    """
    path = folder / "upscaler.pt"
    state = torch.load(path, map_location=device, weights_only=True) if path.exists() else {}
    budget = Budget("upscaler", minutes, spent=float(state.get("spent", 0.0)))
    torch.manual_seed(SEED)
    trainer = UpscalerTrainer.new(device)
    if state:
        trainer.resume(state)
    if budget.fraction < 1:
        pictures = training_pictures(vae or _shipped_vae(device), device, drawings)
        _train(trainer, budget, pictures, device, path)
    trained = trainer.average.module.eval()
    assert isinstance(trained, RRDBNet)
    return trained


def _train(
    trainer: UpscalerTrainer,
    budget: Budget,
    pictures: Sequence[TrainingPicture],
    device: torch.device,
    path: Path,
) -> None:
    # a resumed training must not repeat its first batches
    rng = random.Random(SEED + int(budget.spent))
    save = IntervalTimer(budget, SAVE_INTERVAL)
    for _ in budget.steps():
        small, large = batch(pictures, device, rng)
        loss = trainer.step(small, large, budget.learning_rate(PEAK))
        bicubic = F.interpolate(small, scale_factor=2, mode="bicubic").clamp(0, 1)
        budget.record(loss=loss, of_bicubic=loss / max(loss_of(bicubic, large).item(), 1e-4))
        if save.due():
            save_state(path, spent=budget.spent, **trainer.state())
    save_state(path, spent=budget.spent, **trainer.state())


def _shipped_vae(device: torch.device) -> AutoencoderKL:
    networks = load_networks(open_checkpoint(tiny.PATH), TINY, device, torch.float32)
    return networks.full_vae


def save_upscaler(network: RRDBNet, path: Path) -> None:
    """Write it with the tensor names of published files."""
    save_half(network.state_dict(), path, {"format": "pt"})


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=36, help="time for the training")
    parser.add_argument("--work", type=Path, default=Path(".training"), help="work folder")
    parser.add_argument("--out", type=Path, default=tiny.UPSCALER_PATH, help="the file to write")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    network = make_upscaler(arguments.work, arguments.minutes, torch.device(arguments.device))
    save_upscaler(network, arguments.out)
    print(f"saved {arguments.out} ({arguments.out.stat().st_size / 1e6:.2f} MB)")


if __name__ == "__main__":
    main()
