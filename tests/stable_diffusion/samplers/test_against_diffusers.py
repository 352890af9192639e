"""Our samplers and the diffusers schedulers of the same names: same model, same noise.

Two choices make the noise levels equal, so that only the solvers are compared:

- DDIM and PLMS: `steps_offset=1` and `set_alpha_to_one=False`, CompVis's levels.
- The others: "linspace" spacing and 28 steps. k-diffusion interpolates log σ where diffusers
  interpolates σ; 28 levels from 999 to 0 are 37 apart and fall on trained ones, where there is
  nothing to interpolate. At other step counts the two differ by some 1e-6 in σ.

Their DPM++ 2M takes no such spacing, but a list of timesteps; with Karras spacing it rounds the
timesteps it hands to the network, where k-diffusion does not, so these are set anew.
"""

from typing import Any, cast

import numpy as np
import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from diffusers.schedulers.scheduling_heun_discrete import HeunDiscreteScheduler
from diffusers.schedulers.scheduling_lms_discrete import LMSDiscreteScheduler
from diffusers.schedulers.scheduling_pndm import PNDMScheduler
from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler
from torch import Tensor

from stable_diffusion.conditioning import Network
from stable_diffusion.guidance import guide
from stable_diffusion.samplers.noise import NoiseSource
from stable_diffusion.samplers.sampling import executed_steps
from tests.stable_diffusion.samplers.toys import (
    MEAN,
    NEGATIVE,
    POSITIVE,
    SCHEDULE,
    SHAPE,
    Gaussian,
    Prediction,
    denoiser,
    distance,
    draw,
    random_unet,
)

pytestmark = [
    pytest.mark.heavy,
    # their NumPy calls are older than NumPy 2
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

BETAS = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
COMPVIS = {"steps_offset": 1, "set_alpha_to_one": False}
SEEDS = (1, 2)
SCALE = 3.0

Case = tuple[str, Prediction]
CASES: list[Case] = [("gaussian", "epsilon"), ("gaussian", "v"), ("unet", "epsilon")]
each_model = pytest.mark.parametrize("case", CASES, ids="-".join)


def network_of(case: Case) -> Network:
    return Gaussian(case[1]) if case[0] == "gaussian" else random_unet()


@torch.no_grad()
def theirs(scheduler: Any, network: Network, x: Tensor, timesteps: Any, **kwargs: Any) -> Tensor:
    """The loop of diffusers' pipelines, guidance by two separate evaluations."""
    for t in timesteps:
        scaled = scheduler.scale_model_input(x, t)
        steps = t.float().expand(len(x))
        away, towards = (
            network(scaled, steps, conditioning.expand(len(x)))
            for conditioning in (NEGATIVE, POSITIVE)
        )
        x = scheduler.step(guide(away, towards, SCALE), t, x, **kwargs).prev_sample
    return x


def ours(key: str, case: Case, **kwargs: Any) -> Tensor:
    model = denoiser(network_of(case), prediction=case[1], scale=SCALE)
    return draw(key, model, seeds=SEEDS, **kwargs)


def noise() -> Tensor:
    return NoiseSource(SEEDS, SHAPE).initial()


def prediction_type(case: Case) -> Any:
    return "v_prediction" if case[1] == "v" else case[1]


@each_model
@pytest.mark.parametrize("steps", [10, 30])
def test_ddim(case: Case, steps: int):
    scheduler = DDIMScheduler(
        **BETAS, **COMPVIS, clip_sample=False, prediction_type=prediction_type(case)
    )
    scheduler.set_timesteps(steps)
    expected = theirs(scheduler, network_of(case), noise(), scheduler.timesteps, eta=0.0)
    assert distance(ours("ddim", case, steps=steps), expected) < 1e-3


@each_model
@pytest.mark.parametrize("eta", [0.3, 1.0])
def test_ddim_with_eta(case: Case, eta: float):
    scheduler = DDIMScheduler(
        **BETAS, **COMPVIS, clip_sample=False, prediction_type=prediction_type(case)
    )
    scheduler.set_timesteps(20)
    source = NoiseSource(SEEDS, SHAPE)
    x = source.initial()
    for t in scheduler.timesteps:
        x = theirs(scheduler, network_of(case), x, t[None], eta=eta, variance_noise=source.step())
    assert distance(ours("ddim", case, steps=20, eta=eta), x) < 1e-3


@pytest.mark.parametrize("case", [case for case in CASES if case[1] == "epsilon"], ids="-".join)
@pytest.mark.parametrize("steps", [10, 25])
def test_plms(case: Case, steps: int):
    """Only for models of noise: from velocities, diffusers looks back on velocities, not on ε."""
    scheduler = PNDMScheduler(**BETAS, **COMPVIS, skip_prk_steps=True)
    scheduler.set_timesteps(steps)
    expected = theirs(scheduler, network_of(case), noise(), scheduler.timesteps)
    assert distance(ours("plms", case, steps=steps), expected) < 1e-3


@each_model
@pytest.mark.parametrize("strength", [0.3, 0.75])
def test_ddim_image_to_image(case: Case, strength: float):
    scheduler = DDIMScheduler(
        **BETAS, **COMPVIS, clip_sample=False, prediction_type=prediction_type(case)
    )
    scheduler.set_timesteps(20)
    timesteps = scheduler.timesteps[20 - executed_steps(20, strength) :]
    image = MEAN.expand(2, -1, -1, -1)
    x = cast(Any, scheduler).add_noise(image, noise(), timesteps[:1])
    expected = theirs(scheduler, network_of(case), x, timesteps, eta=0.0)
    drawn = ours("ddim", case, steps=20, image=image, strength=strength)
    assert distance(drawn, expected) < 1e-3


SIGMA_SCHEDULERS: dict[str, tuple[type, dict[str, Any]]] = {
    "k_euler": (EulerDiscreteScheduler, {}),
    "k_heun": (HeunDiscreteScheduler, {}),
    "k_lms": (LMSDiscreteScheduler, {}),
    "k_lms_ka": (LMSDiscreteScheduler, {"use_karras_sigmas": True}),
}


@each_model
@pytest.mark.parametrize("key", SIGMA_SCHEDULERS)
def test_samplers_over_sigma(key: str, case: Case):
    # 25: levels between the trained ones, about which the two still agree to some 1e-6
    steps = 25 if case[0] == "gaussian" else 28
    scheduler_class, options = SIGMA_SCHEDULERS[key]
    scheduler = scheduler_class(
        **BETAS, **options, timestep_spacing="linspace", prediction_type=prediction_type(case)
    )
    scheduler.set_timesteps(steps)
    x = noise() * SCHEDULE.sigma_max
    expected = theirs(scheduler, network_of(case), x, scheduler.timesteps)
    assert distance(ours(key, case, steps=steps), expected) < 1e-3


@each_model
@pytest.mark.parametrize("karras", [False, True])
def test_dpmpp_2m(case: Case, karras: bool):
    scheduler = DPMSolverMultistepScheduler(
        **BETAS,
        algorithm_type="dpmsolver++",
        solver_order=2,
        final_sigmas_type="zero",
        lower_order_final=False,
        use_karras_sigmas=karras,
        prediction_type=prediction_type(case),
    )
    if karras:
        scheduler.set_timesteps(28)
        logs = np.log(SCHEDULE.sigmas.double().numpy())
        sigmas = scheduler.sigmas[:-1].double().numpy()
        exact = [scheduler._sigma_to_t(sigma, logs) for sigma in sigmas]
        scheduler.timesteps = torch.tensor(np.array(exact))
    else:
        scheduler.set_timesteps(timesteps=list(range(999, -1, -37)))
    scheduler.set_begin_index(0)
    # theirs works on latents scaled as in training
    x = noise() * SCHEDULE.sigma_max / (SCHEDULE.sigma_max**2 + 1) ** 0.5
    expected = theirs(scheduler, network_of(case), x, scheduler.timesteps)
    key = "k_dpmpp_2m_ka" if karras else "k_dpmpp_2m"
    assert distance(ours(key, case, steps=28), expected) < 1e-3


@each_model
@pytest.mark.parametrize("strength", [0.3, 0.75])
def test_euler_image_to_image(case: Case, strength: float):
    scheduler = EulerDiscreteScheduler(
        **BETAS, timestep_spacing="linspace", prediction_type=prediction_type(case)
    )
    scheduler.set_timesteps(28)
    begin = 28 - executed_steps(28, strength)
    scheduler.set_begin_index(begin)
    timesteps = scheduler.timesteps[begin:]
    image = MEAN.expand(2, -1, -1, -1)
    x = scheduler.add_noise(image, noise(), timesteps[:1].expand(2))
    expected = theirs(scheduler, network_of(case), x, timesteps)
    drawn = ours("k_euler", case, steps=28, image=image, strength=strength)
    assert distance(drawn, expected) < 1e-3


@each_model
@pytest.mark.parametrize("strength", [1.0, 0.5])
@pytest.mark.parametrize("steps", [3, 9, 27])
def test_unipc(case: Case, steps: int, strength: float):
    """At steps that divide 999, since theirs rounds timesteps."""
    scheduler = UniPCMultistepScheduler(
        **BETAS,
        solver_order=3,
        solver_type="bh1",
        timestep_spacing="linspace",
        final_sigmas_type="sigma_min",
        prediction_type=prediction_type(case),
    )
    scheduler.set_timesteps(steps)
    begin = steps - executed_steps(steps, strength)
    scheduler.set_begin_index(begin)
    timesteps = scheduler.timesteps[begin:]
    image = MEAN.expand(2, -1, -1, -1)
    x = noise()
    if begin:
        x = cast(Any, scheduler).add_noise(image, x, timesteps[:1].expand(2))
    expected = theirs(scheduler, network_of(case), x, timesteps)
    drawn = ours("unipc", case, steps=steps, image=image, strength=strength)
    assert distance(drawn, expected) < 1e-3
