"""The paths that a trained model takes from noise to pictures, for a distillation to few steps.

A path follows the probability flow ODE under classifier-free guidance, from pure noise at the last
timestep to latents without noise. Solver and timesteps are those of latent consistency models (Luo
et al. 2023, arXiv:2310.04378): DDIM, on a grid of every twentieth of a thousand timesteps.
"""

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from math import sqrt
from pathlib import Path

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor
from tqdm import tqdm

from stable_diffusion.conditioning import Conditioning
from stable_diffusion.networks import Networks, text_states, unet_prediction
from stable_diffusion.prompt.conditioning import apply_weights
from stable_diffusion.samplers.schedule import NoiseSchedule
from training.captions import Piece, caption
from training.latents import random_scenes
from training.progress import save_state
from training.tokens import CaptionTokens

SOLVER_STEPS = 12
"""A multiple of the student's four steps, so that a path visits their timesteps."""
SHARD = 48
"""Paths in one file."""
AT_ONCE = 4
"""Paths that one core follows at once."""


def solver_timesteps(schedule: NoiseSchedule) -> list[int]:
    """The timesteps of a path, falling from 999; those of the sampler LCM with as many steps."""
    sigmas = schedule.lcm_sigmas(SOLVER_STEPS)[:-1]
    return schedule.timestep(sigmas).round().long().tolist()


@dataclass(frozen=True)
class Trajectories:
    """Paths of one picture size.

    Attributes:
        latents: (n, SOLVER_STEPS + 1, 4, h, w) float16, at `solver_timesteps` and without noise.
        context: (n, 77, width) float16, the weighted text states of each path's caption.
    """

    latents: Tensor
    context: Tensor


@torch.inference_mode()  # applies per thread
def follow(
    unet: UNet2DConditionModel, noise: Tensor, context: Tensor, empty: Tensor, scale: float
) -> Tensor:
    """The paths from noise (n, 4, h, w): (n, SOLVER_STEPS + 1, 4, h, w).

    Args:
        context: (n, 77, width), of the prompts.
        empty: (1, 77, width), of the empty prompt.
        scale: of the guidance.
    """
    schedule = NoiseSchedule()
    alphas = schedule.alphas_cumprod.tolist()
    both = Conditioning(torch.cat([context, empty.expand_as(context)]))
    x, path = noise, [noise]
    timesteps = solver_timesteps(schedule)
    levels = pairwise([*(alphas[t] for t in timesteps), 1.0])
    for t, (alpha, alpha_next) in zip(timesteps, levels, strict=True):
        rows = torch.full((2 * len(x),), t, device=x.device)
        prompted, unprompted = unet_prediction(unet, torch.cat([x, x]), rows, both).chunk(2)
        epsilon = unprompted + scale * (prompted - unprompted)
        predicted = (x - sqrt(1 - alpha) * epsilon) / sqrt(alpha)
        x = sqrt(alpha_next) * predicted + sqrt(1 - alpha_next) * epsilon
        path.append(x)
    return torch.stack(path, 1)


def cached_trajectories(
    folder: Path,
    teacher: Networks,
    tokens: CaptionTokens,
    count: int,
    seed: int,
    size: tuple[int, int],
    scale: float,
) -> Trajectories:
    """`count` paths for pictures of `size` (width, height) pixels, from random captions.

    Args:
        folder: for files of `SHARD` paths each, so that an interrupted call continues.
        teacher: a model that predicts the noise.
        scale: of the guidance.
    """
    shards: list[Trajectories] = []
    for index in tqdm(range(-(-count // SHARD)), desc=f"paths {size[0]}x{size[1]}"):
        path = folder / f"paths-{size[0]}x{size[1]}-{count}-{seed}-{index}.pt"
        if not path.exists():
            number = min(SHARD, count - index * SHARD)
            made = _shard(teacher, tokens, number, 1000 * seed + index, size, scale)
            save_state(path, latents=made.latents, context=made.context)
        shards.append(Trajectories(**torch.load(path, weights_only=True)))
    latents, context = zip(*((shard.latents, shard.context) for shard in shards), strict=True)
    return Trajectories(torch.cat(latents), torch.cat(context))


def _shard(
    teacher: Networks,
    tokens: CaptionTokens,
    count: int,
    seed: int,
    size: tuple[int, int],
    scale: float,
) -> Trajectories:
    """`count` paths from random captions."""
    rng, generator = random.Random(seed), torch.Generator().manual_seed(seed)
    captions = [caption(scene, rng) for scene in random_scenes(count, rng)]
    device = next(teacher.unet.parameters()).device
    context = weighted_states(teacher, tokens, captions, rng)
    empty = weighted_states(teacher, tokens, [()], rng)
    noise = torch.randn(count, 4, size[1] // 8, size[0] // 8, generator=generator).to(device)
    noise = noise.contiguous(memory_format=torch.channels_last)
    # On a CPU each core follows a few paths at a time: all of them would exceed the caches.
    cores = torch.get_num_threads() if device.type == "cpu" else 1
    at_once = AT_ONCE if device.type == "cpu" else SHARD
    single = partial(torch.set_num_threads, 1) if cores > 1 else None
    walk = partial(follow, teacher.unet, empty=empty, scale=scale)
    with ThreadPoolExecutor(cores, initializer=single) as pool:
        paths = list(pool.map(walk, noise.split(at_once), context.split(at_once)))
    return Trajectories(torch.cat(paths).half().cpu(), context.half().cpu())


@torch.inference_mode()
def weighted_states(
    networks: Networks,
    tokens: CaptionTokens,
    captions: Sequence[Sequence[Piece]],
    rng: random.Random,
) -> Tensor:
    """The text states of captions with their emphasis, (n, 77, width)."""
    batch = tokens.batch(captions, rng)
    device = next(networks.text.parameters()).device
    hidden = text_states(networks.text, batch.ids.to(device))
    return apply_weights(hidden, batch.weights.to(device))
