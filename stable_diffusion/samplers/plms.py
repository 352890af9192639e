"""PLMS: pseudo linear multistep (Liu et al. 2022, PNDM, arXiv:2202.09778), as CompVis has it."""

from itertools import pairwise
from math import sqrt

from torch import Tensor

from stable_diffusion.samplers.denoiser import Denoiser
from stable_diffusion.samplers.noise import NoiseSource
from stable_diffusion.samplers.sampler import SamplerOptions


def plms(
    denoiser: Denoiser,
    x: Tensor,
    timesteps: Tensor,
    noise: NoiseSource,  # noqa: ARG001  deterministic
    options: SamplerOptions,  # noqa: ARG001
) -> Tensor:
    """Step down along `timesteps`, extrapolating ε from earlier steps.

    The first step has no earlier ones: it makes a trial step, evaluates the network at its end as
    well and takes the mean of both. A first step that is also the last uses its own ε, since
    there is no noise at its end.

    Args:
        denoiser: gives ε(x_t, t).
        x: (n, C, h, w), from `ddim.start` at the first timestep.
        timesteps: falling, see `NoiseSchedule.ddim_timesteps`.
        noise, options: not used.

    Returns:
        (n, C, h, w), scaled as by `ddim`.
    """
    alphas = denoiser.schedule.alphas_cumprod.tolist()
    past: list[Tensor] = []  # the latest first
    for t, t_next in pairwise(timesteps.tolist()):
        alpha, alpha_next = alphas[t], alphas[t_next]
        epsilon = denoiser.epsilon(x, t)
        match past:
            case [] if t_next == 0:
                slope = epsilon
            case []:
                trial = _transfer(x, epsilon, alpha, alpha_next)
                slope = (epsilon + denoiser.epsilon(trial, t_next)) / 2
            case [e1]:
                slope = (3 * epsilon - e1) / 2
            case [e1, e2]:
                slope = (23 * epsilon - 16 * e1 + 5 * e2) / 12
            case _:
                e1, e2, e3 = past
                slope = (55 * epsilon - 59 * e1 + 37 * e2 - 9 * e3) / 24  # equation 12
        x = _transfer(x, slope, alpha, alpha_next)
        past = [epsilon, *past[:2]]
    return x


def _transfer(x: Tensor, epsilon: Tensor, alpha: float, alpha_next: float) -> Tensor:
    """The paper's φ, equation 11, in the form of a DDIM step with η = 0."""
    predicted = (x - sqrt(1 - alpha) * epsilon) / sqrt(alpha)
    return sqrt(alpha_next) * predicted + sqrt(1 - alpha_next) * epsilon
