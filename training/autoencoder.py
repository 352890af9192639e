"""Phase 1: the autoencoder, and the whitening of its latents.

Loss: L1 + MSE + L1 of the pixel differences along x and y (edges) + a little KL, and at the
start an auxiliary loss that pulls the first three latent channels to the downsampled picture, since
a network this small otherwise takes minutes to learn colour.
"""

import random
from collections.abc import Sequence
from pathlib import Path

import numpy
import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor

from stable_diffusion.families.family import Family
from stable_diffusion.families.latent_diffusion import LATENTS
from stable_diffusion.networks import decoded, moved, posterior
from training.drawings import draw
from training.progress import SAVE_INTERVAL, Budget, IntervalTimer, save_state
from training.scenes import random_scene

KL_WEIGHT = 2e-4
AUXILIARY_UNTIL = 0.4


def pictures(count: int, width: int, height: int, rng: random.Random) -> Tensor:
    """`count` random drawings, uint8 (count, 3, height, width)."""
    arrays = [numpy.asarray(draw(random_scene(rng), width, height, rng)) for _ in range(count)]
    return torch.from_numpy(numpy.stack(arrays)).permute(0, 3, 1, 2).contiguous()


def to_range(pictures: Tensor) -> Tensor:
    """uint8 0..255 → float -1..1."""
    return pictures.float() / 127.5 - 1


def crops(pool: Sequence[Tensor], size: int, count: int, rng: random.Random) -> Tensor:
    """`count` random crops on the latent grid, float (count, 3, size, size) in -1..1."""
    windows: list[Tensor] = []
    for _ in range(count):
        picture = pool[rng.randrange(len(pool))]
        top = rng.randrange(0, picture.shape[1] - size + 1, 8)
        left = rng.randrange(0, picture.shape[2] - size + 1, 8)
        windows.append(picture[:, top : top + size, left : left + size])
    return to_range(torch.stack(windows))


def _differences(x: Tensor) -> tuple[Tensor, Tensor]:
    return x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]


def reconstruction_loss(output: Tensor, target: Tensor) -> Tensor:
    """L1 + MSE + L1 of the edges, of pictures in -1..1."""
    edges = sum(
        F.l1_loss(a, b) for a, b in zip(_differences(output), _differences(target), strict=True)
    )
    return F.l1_loss(output, target) + F.mse_loss(output, target) + edges


def train_autoencoder(
    vae: AutoencoderKL,
    budget: Budget,
    device: torch.device,
    state: Path,
    *,
    drawings: int,
    seed: int = 0,
) -> None:
    """Train in place until the budget is spent; writes `state` every minute.

    Args:
        drawings: number of pictures of 256 pixels; a quarter as many have 512.
    """
    rng = random.Random(seed)
    pool = [*pictures(drawings, 256, 256, rng), *pictures(drawings // 4, 512, 512, rng)]
    optimizer = torch.optim.AdamW(vae.parameters(), lr=2e-3, betas=(0.9, 0.99), weight_decay=0.0)
    vae.train()
    save = IntervalTimer(budget, SAVE_INTERVAL)
    for step in budget.steps():
        for group in optimizer.param_groups:
            group["lr"] = budget.learning_rate(2e-3)
        if budget.fraction < 0.7:
            size, count = 64, 16
        elif budget.fraction < 0.85 or step % 2:
            size, count = 128, 6
        else:
            size, count = 256, 2
        target = crops(pool, size, count, rng).to(device, memory_format=torch.channels_last)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            latents = posterior(vae, target)
            output = decoded(vae, latents.sample())
        output = output.float()
        loss = reconstruction_loss(output, target) + KL_WEIGHT * latents.kl().mean() / size**2 * 64
        if budget.fraction < AUXILIARY_UNTIL:
            auxiliary = (latents.mean[:, :3].float() - 2 * F.avg_pool2d(target, 8)).abs().mean()
            loss = loss + (1 - budget.fraction / AUXILIARY_UNTIL) * auxiliary
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            psnr = 10 * torch.log10(4 / F.mse_loss(output, target))
        budget.record(loss=loss.item(), psnr=psnr.item())
        if save.due():
            save_state(state, vae=vae.state_dict(), spent=budget.spent)


@torch.no_grad()
def whiten(vae: AutoencoderKL, device: torch.device, *, drawings: int = 400, seed: int = 1) -> None:
    """Fold an affine map into the autoencoder that makes its latents white.

    Afterwards latents of drawings, times their scale, have mean 0 and identity covariance, as
    the noise schedule assumes: SD's scale stays valid and all channels have the same variance.

    Args:
        drawings: how many pictures of 256 pixels the map is made from.
    """
    vae.eval()
    rng = random.Random(seed)
    means = torch.cat(
        [
            posterior(vae, to_range(pictures(min(20, left), 256, 256, rng)).to(device)).mean
            for left in range(drawings, 0, -20)
        ]
    )
    flat = means.permute(0, 2, 3, 1).reshape(-1, means.shape[1]).double()
    mean = flat.mean(0)
    values, vectors = torch.linalg.eigh(torch.cov(flat.T))
    # ZCA: the whitening closest to the identity, so channels keep their meaning
    forward = vectors @ torch.diag(values.rsqrt()) @ vectors.T / LATENTS.scale
    backward = torch.linalg.inv(forward)
    quant, post = vae.quant_conv, vae.post_quant_conv
    assert quant is not None
    assert post is not None
    assert quant.bias is not None
    assert post.bias is not None
    channels = means.shape[1]
    weight = quant.weight[:, :, 0, 0].double()
    bias = quant.bias.double()
    weight[:channels] = forward @ weight[:channels]
    bias[:channels] = forward @ (bias[:channels] - mean)
    # the log-variance rows: every standard deviation grows by about the map's mean gain
    bias[channels:] += 2 * torch.log(forward.diagonal().abs())
    quant.weight.copy_(weight[:, :, None, None].to(quant.weight))
    quant.bias.copy_(bias.to(quant.bias))
    weight = post.weight[:, :, 0, 0].double()
    post.bias.copy_((post.bias.double() + weight @ mean).to(post.bias))
    post.weight.copy_((weight @ backward)[:, :, None, None].to(post.weight))


def build_autoencoder(family: Family) -> AutoencoderKL:
    """A new autoencoder of this family, in channels-last memory."""
    return moved(AutoencoderKL(**family.part("vae").config), channels_last=True)
