"""UniPC (Zhao et al. 2023, arXiv:2302.04867): a predictor and a corrector of up to third order.

As AUTOMATIC1111 has it: levels at timesteps evenly apart, B(h) = h (the paper's bh1), and orders
that fall towards the end. The corrector needs no evaluation of its own. Everything is computed in
x = latents + σ·noise; the paper's α_t then cancels out.
"""

from collections.abc import Sequence
from math import exp, expm1, log, sqrt

import torch
from torch import Tensor

from stable_diffusion.samplers.denoiser import Denoiser
from stable_diffusion.samplers.noise import NoiseSource
from stable_diffusion.samplers.sampler import SamplerOptions
from stable_diffusion.samplers.schedule import NoiseSchedule

ORDER = 3


def start(
    schedule: NoiseSchedule,  # noqa: ARG001  σ is enough
    sigma: Tensor,
    noise: Tensor,
    image: Tensor | None,
) -> Tensor:
    """X = image + σ·noise; without an image √(1+σ²)·noise, which the network gets as noise."""
    return (1 + sigma**2).sqrt() * noise if image is None else image + sigma * noise


def unipc(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    noise: NoiseSource,  # noqa: ARG001  deterministic
    options: SamplerOptions,  # noqa: ARG001
) -> Tensor:
    """Step down along `sigmas` to the model's smallest.

    Args:
        denoiser: gives D(x; σ).
        x: (n, C, h, w), from `start` at the first level.
        sigmas: falling, see `NoiseSchedule.unipc_sigmas`.
        noise, options: not used.

    Returns:
        (n, C, h, w), scaled by √ᾱ of the last level as the original leaves them.
    """
    levels = sigmas.tolist()
    steps = len(levels) - 1
    lambdas = [-log(sigma) for sigma in levels]
    known: list[Tensor] = []  # D at the levels so far
    before, order = x, 0
    for i in range(steps):
        estimate = denoiser(x, sigmas[i].expand(len(x)))
        if i:
            corrected = slice(i - order, i)
            x = _step(before, lambdas[corrected], known[corrected], lambdas[i], estimate)
        known.append(estimate)
        before, order = x, min(ORDER, i + 1, steps - i)
        used = slice(i + 1 - order, i + 1)
        x = _step(before, lambdas[used], known[used], lambdas[i + 1])
    return x / sqrt(1 + levels[-1] ** 2)


def _step(
    x: Tensor,
    lambdas: Sequence[float],
    known: Sequence[Tensor],
    target: float,
    estimate: Tensor | None = None,
) -> Tensor:
    """A step of the predictor, or of the corrector given the estimate at its end; algorithms 1, 2.

    Args:
        x: at the last of `lambdas`.
        lambdas: −log σ of the levels it looks back on, rising; as many as the order.
        known: D at them.
        target: −log σ at the end of the step.
    """
    h = target - lambdas[-1]
    base = known[-1]
    result = exp(-h) * x - expm1(-h) * base
    ratios = [(level - lambdas[-1]) / h for level in lambdas[-2::-1]]
    slopes = [(each - base) / ratio for each, ratio in zip(known[-2::-1], ratios, strict=True)]
    if estimate is not None:
        ratios, slopes = [*ratios, 1.0], [*slopes, estimate - base]
    for weight, slope in zip(_weights(ratios, -h), slopes, strict=True):
        result = result + h * weight * slope
    return result


def _weights(ratios: Sequence[float], hh: float) -> list[float]:
    """The paper's a = R⁻¹φ/B(h), equation 5; a single one is ½."""
    count = len(ratios)
    if count < 2:
        return [0.5] * count
    rows, right = [], []
    phi, factorial = expm1(hh) / hh - 1, 1
    for k in range(1, count + 1):
        rows.append([ratio ** (k - 1) for ratio in ratios])
        right.append(phi * factorial / hh)
        factorial *= k + 1
        phi = phi / hh - 1 / factorial
    solved = torch.linalg.solve(
        torch.tensor(rows, dtype=torch.float64), torch.tensor(right, dtype=torch.float64)
    )
    return solved.tolist()
