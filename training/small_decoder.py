"""Trains the small decoder of the tiny models: `python -m training.small_decoder --minutes 14`.

A TAESD (madebyollin) in small: plain convolutions without normalization. It is distilled from the
autoencoder of `tiny`: it learns the pictures that the full decoder makes of latents, also of noisy
ones, because a sampler's latents are not exactly those of any drawing. There is no small encoder:
models keep their own.
"""

import argparse
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers.models.autoencoders.vae import DecoderTiny
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from stable_diffusion import tiny
from stable_diffusion.families.tiny import TINY
from stable_diffusion.load_model import load_model
from stable_diffusion.model import Model
from stable_diffusion.networks import moved
from training.autoencoder import pictures, to_range
from training.progress import SAVE_INTERVAL, Budget, IntervalTimer, compute_clock, save_state
from training.saving import save_half

CHANNELS = 16
BLOCKS = (3, 2, 2, 1)
SEED = 31
FACTOR = TINY.latents.factor
CROP = 14  # side of a training input, in latents
BATCH = 4
PEAK = 2e-3
EMA_DECAY = 0.995  # of the moving average of the weights, which is the result
AVERAGED_FROM = 0.5  # of the time
NOISY_SHARE = 0.5
MAX_NOISE = 0.2
"""Standard deviation of the most noise; that of the latents is 1."""


@dataclass(frozen=True)
class Example:
    """What the full autoencoder makes of one drawing.

    Attributes:
        latents: of the drawing at unit variance, (C, h, w), with noise or without.
        decoded: the full decoder's picture of them, float16 (3, H, W), about -1..1.
    """

    latents: Tensor
    decoded: Tensor


def examples(model: Model, drawings: int, size: int, rng: random.Random) -> list[Example]:
    """Examples of square drawings; what the full decoder does depends on the whole picture."""
    found: list[Example] = []
    for _ in range(drawings):
        (picture,) = pictures(1, size, size, rng)
        encoded = model.encode(to_range(picture))
        noise = MAX_NOISE * rng.random() * (rng.random() < NOISY_SHARE)
        latents = encoded + noise * torch.randn_like(encoded)
        found.append(Example(latents, model.decode(latents).half()))
    return found


def batch(
    pool: Sequence[Example], device: torch.device, rng: random.Random
) -> tuple[Tensor, Tensor]:
    """Random crops: latents (n, C, c, c) and pictures (n, 3, f·c, f·c), channels last."""
    crops: list[tuple[Tensor, Tensor]] = []
    for _ in range(BATCH):
        example = rng.choice(pool)
        height, width = example.latents.shape[1:]
        top, left = rng.randrange(height - CROP + 1), rng.randrange(width - CROP + 1)
        below, right = top + CROP, left + CROP
        pixels = example.decoded[:, top * FACTOR : below * FACTOR, left * FACTOR : right * FACTOR]
        crops.append((example.latents[:, top:below, left:right], pixels))
    latents, decoded = (
        torch.stack(column).to(device, torch.float32).contiguous(memory_format=torch.channels_last)
        for column in zip(*crops, strict=True)
    )
    return latents, decoded


def loss_of(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The loss of pictures in -1..1, and their mean squared error."""
    error = output - target
    edges = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
    squared = error.square().mean()
    return error.abs().mean() + 4 * squared + 0.5 * edges, squared.detach()


def new_network() -> DecoderTiny:
    """An untrained small decoder."""
    return DecoderTiny(
        in_channels=TINY.latents.channels,
        out_channels=3,
        num_blocks=BLOCKS,
        block_out_channels=(CHANNELS,) * len(BLOCKS),
        upsampling_scaling_factor=2,
        act_fn="relu",
        upsample_fn="nearest",
    )


def make_small_decoder(
    folder: Path,
    minutes: float,
    device: torch.device,
    *,
    drawings: int = 640,
) -> DecoderTiny:
    """Train until the minutes are spent; resumes a killed training.

    Args:
        folder: receives `small_decoder.pt` every minute.
        drawings: number of drawings of 256 pixels; an eighth as many have 512.

    Returns:
        The network with the averaged weights, in evaluation mode.
    """
    path = folder / "small_decoder.pt"
    state = torch.load(path, map_location=device, weights_only=True) if path.exists() else {}
    clock = compute_clock(device)
    budget = Budget("small decoder", minutes, float(state.get("spent", 0.0)), clock=clock)
    torch.manual_seed(SEED)
    network = moved(new_network(), device, channels_last=True)
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(EMA_DECAY))
    optimizer = torch.optim.Adam(network.parameters(), lr=PEAK, betas=(0.9, 0.99))
    for name, part in (("network", network), ("average", average), ("optimizer", optimizer)):
        if state:
            part.load_state_dict(state[name])

    def save() -> None:
        save_state(
            path,
            spent=budget.spent,
            network=network.state_dict(),
            average=average.state_dict(),
            optimizer=optimizer.state_dict(),
        )

    if budget.fraction < 1:
        # a resumed training must not repeat its first batches
        rng = random.Random(SEED + int(budget.spent))
        model = load_model(tiny.PATH, name="tiny", device=device)
        pool = examples(model, drawings, 256, rng) + examples(model, drawings // 8, 512, rng)
        timer = IntervalTimer(budget, SAVE_INTERVAL)
        for _ in budget.steps():
            _step(network, optimizer, batch(pool, device, rng), budget)
            if budget.fraction >= AVERAGED_FROM:
                average.update_parameters(network)
            if timer.due():
                save()
        save()
    trained = average.module.eval()
    assert isinstance(trained, DecoderTiny)
    return trained


def _step(
    network: DecoderTiny,
    optimizer: torch.optim.Optimizer,
    data: tuple[Tensor, Tensor],
    budget: Budget,
) -> None:
    for group in optimizer.param_groups:
        group["lr"] = budget.learning_rate(PEAK)
    latents, target = data
    loss, squared = loss_of(network(latents), target)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimizer.step()
    budget.record(loss=loss.item(), psnr=(10 * torch.log10(4 / squared)).item())


def save_small_decoder(network: DecoderTiny, path: Path) -> None:
    """Write it with the tensor names of diffusers."""
    tensors = {f"decoder.{name}": tensor for name, tensor in network.state_dict().items()}
    save_half(tensors, path, {"format": "pt"})


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=14, help="time for the training")
    parser.add_argument("--work", type=Path, default=Path(".training"), help="work folder")
    parser.add_argument("--out", type=Path, default=tiny.SMALL_DECODER_PATH, help="the file")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    network = make_small_decoder(arguments.work, arguments.minutes, torch.device(arguments.device))
    save_small_decoder(network, arguments.out)
    print(f"saved {arguments.out} ({arguments.out.stat().st_size / 1e6:.2f} MB)")


if __name__ == "__main__":
    main()
