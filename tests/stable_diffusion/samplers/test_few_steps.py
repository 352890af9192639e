"""LCM, TCD and Euler with trailing levels, against diffusers' schedulers of the same names."""

from functools import partial
from typing import Any

import pytest
import torch
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from diffusers.schedulers.scheduling_lcm import LCMScheduler
from diffusers.schedulers.scheduling_tcd import TCDScheduler
from torch import Tensor

from stable_diffusion.guidance import guide
from stable_diffusion.samplers import SAMPLERS
from stable_diffusion.samplers.keep import Keep
from stable_diffusion.samplers.noise import NoiseSource
from stable_diffusion.samplers.sampling import executed_steps, step_timesteps
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

# their NumPy calls are older than NumPy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

BETAS: dict[str, Any] = {
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
}
SEEDS = (1, 2)
SCALE = 2.0
DIFFUSERS = {
    "lcm": LCMScheduler,
    "tcd": TCDScheduler,
    "k_euler": partial(EulerDiscreteScheduler, timestep_spacing="trailing"),
}


@torch.no_grad()
def theirs(
    key: str, prediction: Prediction, steps: int, strength: float, monkeypatch: Any, **step: float
) -> Tensor:
    """The loop of their image to image pipeline; at strength 1 that of text to image."""
    scheduler = DIFFUSERS[key](
        **BETAS, prediction_type="v_prediction" if prediction == "v" else prediction
    )
    scheduler.set_timesteps(steps)
    begin = steps - executed_steps(steps, strength)
    scheduler.set_begin_index(begin)
    source = NoiseSource(SEEDS, SHAPE)
    for module in ("lcm", "tcd"):
        path = f"diffusers.schedulers.scheduling_{module}.randn_tensor"
        monkeypatch.setattr(path, lambda *_args, **_kwargs: source.step())
    x = source.initial() * scheduler.init_noise_sigma
    timesteps: Tensor = scheduler.timesteps[begin:]
    if strength < 1:
        image = MEAN.expand(2, -1, -1, -1)
        x = scheduler.add_noise(image, source.initial(), timesteps[:1].expand(2))
    for t in timesteps:
        scaled = scheduler.scale_model_input(x, t)
        away, towards = (
            random_unet()(scaled, t.float().expand(2), text.expand(2))
            for text in (NEGATIVE, POSITIVE)
        )
        x = scheduler.step(guide(away, towards, SCALE), t, x, **step).prev_sample
    return x


def ours(key: str, prediction: Prediction, steps: int, strength: float, **options: Any) -> Tensor:
    model = denoiser(random_unet(), prediction=prediction, scale=SCALE)
    if key == "k_euler":
        options["scheduler"] = "trailing"
    return draw(
        key, model, seeds=SEEDS, steps=steps, image=MEAN[None], strength=strength, **options
    )


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
@pytest.mark.parametrize(("steps", "strength"), [(1, 1.0), (4, 1.0), (8, 1.0), (8, 0.5), (50, 0.1)])
@pytest.mark.parametrize("key", DIFFUSERS)
def test_the_latents_are_those_of_diffusers(
    key: str, steps: int, strength: float, prediction: Prediction, monkeypatch: Any
) -> None:
    expected = theirs(key, prediction, steps, strength, monkeypatch)
    assert distance(ours(key, prediction, steps, strength), expected) < 1e-3


@pytest.mark.parametrize("eta", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_tcd_takes_the_eta_of_diffusers(
    eta: float, prediction: Prediction, monkeypatch: Any
) -> None:
    expected = theirs("tcd", prediction, 4, 1.0, monkeypatch, eta=eta)
    assert distance(ours("tcd", prediction, 4, 1.0, eta=eta), expected) < 1e-3


@pytest.mark.parametrize("steps", range(1, 51))
def test_the_levels_are_those_of_diffusers(steps: int) -> None:
    scheduler = LCMScheduler(**BETAS)
    scheduler.set_timesteps(steps)
    found = step_timesteps(SAMPLERS["lcm"], SCHEDULE, steps, steps)
    assert [round(timestep) for timestep in found] == scheduler.timesteps.tolist()


def test_lcm_denoises_at_the_end_of_a_scheduler_that_ends_at_the_smallest_level() -> None:
    """Its boundary scaling would return what is at timestep 0 as it is, noise included."""
    noisy, seen = [], []
    record = lambda estimate: (noisy.append(estimate.x), seen.append(estimate.denoised()))  # noqa: E731
    model = denoiser(Gaussian(), on_evaluation=record)
    drawn = draw("lcm", model, steps=4, scheduler="normal")
    assert distance(drawn, seen[-1]) < 1e-4
    assert distance(drawn, noisy[-1]) > 1e-3


@pytest.mark.parametrize("key", ["lcm", "tcd"])
def test_what_a_mask_keeps_is_the_image_with_four_steps(key: str) -> None:
    image = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(5))
    mask = torch.zeros(SHAPE[1:])
    mask[:, 4:] = 1
    keep = Keep(image, mask, step_timesteps(SAMPLERS[key], SCHEDULE, 4, 4))
    drawn = draw(key, denoiser(random_unet(), changes=(keep,)), steps=4, image=image)
    assert (drawn - image)[..., :4].abs().max() < 0.15  # TCD leaves the noise of the last level
    assert (drawn - image)[..., 4:].abs().max() > 0.15
