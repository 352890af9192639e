"""PLMS: pseudo linear multistep (Liu et al. 2022, PNDM, arXiv:2202.09778), as CompVis has it."""

from itertools import pairwise
from math import sqrt

from torch import Tensor

from stable_diffusion.samplers.denoiser import Denoiser
from stable_diffusion.samplers.noise import NoiseSource


def plms(
    denoiser: Denoiser,
    x: Tensor,
    timesteps: Tensor,
    noise: NoiseSource,  # noqa: ARG001  deterministic
    eta: float,  # noqa: ARG001
) -> Tensor:
    """Step down along `timesteps`, guessing ε between two levels from those met before.

    The first step has nothing to look back at: it tries the step, asks again at its end and
    takes the mean, which is one evaluation more. A first step that is the last one too trusts
    its own ε: at its end there is no noise left to ask about.

    Args:
        denoiser: gives ε(x_t, t).
        x: (n, C, h, w), from `ddim.start` at the first timestep.
        timesteps: falling, see `NoiseSchedule.ddim_timesteps`.
        noise: not asked.
        eta: without effect.

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
                guess = epsilon
            case []:
                tried = _transfer(x, epsilon, alpha, alpha_next)
                guess = (epsilon + denoiser.epsilon(tried, t_next)) / 2
            case [e1]:
                guess = (3 * epsilon - e1) / 2
            case [e1, e2]:
                guess = (23 * epsilon - 16 * e1 + 5 * e2) / 12
            case _:
                e1, e2, e3 = past
                guess = (55 * epsilon - 59 * e1 + 37 * e2 - 9 * e3) / 24  # equation 12
        x = _transfer(x, guess, alpha, alpha_next)
        past = [epsilon, *past[:2]]
    return x


def _transfer(x: Tensor, epsilon: Tensor, alpha: float, alpha_next: float) -> Tensor:
    """The paper's φ, equation 11, in the form of a DDIM step with η = 0."""
    predicted = (x - sqrt(1 - alpha) * epsilon) / sqrt(alpha)
    return sqrt(alpha_next) * predicted + sqrt(1 - alpha_next) * epsilon
