import pytest
import torch
from torch import Tensor

from stable_diffusion.conditioning import Conditioning
from stable_diffusion.guidance import guide
from stable_diffusion.samplers.estimate import Estimate
from tests.stable_diffusion.samplers.toys import (
    NEGATIVE,
    POSITIVE,
    SCHEDULE,
    SHAPE,
    Gaussian,
    Prediction,
    denoiser,
)

X = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(0))
SIGMA = torch.tensor([0.1, 1.0, 10.0])


def test_guidance_goes_from_the_negative_to_the_positive_and_beyond():
    negative, positive = torch.tensor([1.0]), torch.tensor([3.0])
    assert guide(negative, positive, 0) == 1
    assert guide(negative, positive, 1) == 3
    assert guide(negative, positive, 7.5) == 16


@pytest.mark.parametrize("scale", [0.0, 0.5, 2.0, 7.5])
def test_guidance_of_the_denoised_image_equals_guidance_of_the_prediction(scale: float):
    away = denoiser(Gaussian(), scale=0.0)(X, SIGMA)
    towards = denoiser(Gaussian(), scale=1.0)(X, SIGMA)
    guided = denoiser(Gaussian(), scale=scale)(X, SIGMA)
    torch.testing.assert_close(guided, guide(away, towards, scale), rtol=1e-4, atol=1e-4)


def test_scale_1_asks_for_the_prompt_alone():
    asked: list[Conditioning] = []

    def network(x: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        asked.append(conditioning)
        return x

    denoiser(network, scale=1.0)(X, SIGMA)
    denoiser(network, scale=2.0)(X, SIGMA)
    assert asked[0].context.equal(POSITIVE.expand(3).context)
    assert asked[1].context.equal(Conditioning.cat([NEGATIVE, POSITIVE] * 3).context)


@pytest.mark.parametrize("scale", [1.0, 7.5])
def test_a_model_of_velocity_denoises_like_a_model_of_noise(scale: float):
    velocity = denoiser(Gaussian("v"), prediction="v", scale=scale)
    noise = denoiser(Gaussian(), scale=scale)
    torch.testing.assert_close(velocity(X, SIGMA), noise(X, SIGMA), rtol=1e-4, atol=1e-4)
    for timestep in (0, 1, 500, 999):
        torch.testing.assert_close(
            velocity.epsilon(X, timestep), noise.epsilon(X, timestep), rtol=1e-3, atol=1e-3
        )


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_epsilon_and_denoised_latents_agree(prediction: Prediction):
    denoise = denoiser(Gaussian(prediction), prediction=prediction)
    sigma = SCHEDULE.sigmas[600]
    scale = (sigma**2 + 1).sqrt()
    denoised = denoise(X * scale, sigma.expand(3))
    epsilon = denoise.epsilon(X, 600)
    torch.testing.assert_close(denoised, X * scale - sigma * epsilon, rtol=1e-4, atol=1e-4)


def test_the_network_works_in_its_own_type_and_the_sampler_in_float32():
    seen: list[tuple[torch.dtype, torch.dtype, list[float]]] = []

    def network(x: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        seen.append((x.dtype, conditioning.dtype, timesteps.tolist()))
        return x

    denoise = denoiser(network, scale=1.0, dtype=torch.bfloat16)
    assert denoise.epsilon(X, 999).dtype == torch.float32
    assert denoise(X, SIGMA).dtype == torch.float32
    # bfloat16 would round timestep 999 to 1000
    assert seen[0] == (torch.bfloat16, torch.bfloat16, [999.0] * 3)


def test_every_evaluation_is_counted_and_reported():
    reported: list[int] = []
    denoise = denoiser(Gaussian(), scale=7.5, on_evaluation=lambda _: reported.append(1))
    denoise(X, SIGMA)
    denoise.epsilon(X, 1)
    assert denoise.evaluations == len(reported) == 2


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_every_evaluation_reports_the_denoised_latents(prediction: Prediction):
    estimates: list[Estimate] = []
    denoise = denoiser(Gaussian(prediction), prediction=prediction, on_evaluation=estimates.append)
    sigma = SCHEDULE.sigmas[600]
    scale = (sigma**2 + 1).sqrt()

    denoised = denoise(X * scale, sigma.expand(3))
    denoise.epsilon(X, 600)

    for estimate in estimates:
        torch.testing.assert_close(estimate.denoised(), denoised, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_denoised_latents_that_were_changed_determine_epsilon(prediction: Prediction):
    def replace_by_image(estimate: Estimate) -> Estimate:
        return estimate.with_denoised(image)

    image = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(1))
    denoise = denoiser(Gaussian(prediction), prediction=prediction, changes=(replace_by_image,))
    torch.testing.assert_close(denoise(X, SIGMA), image, rtol=1e-3, atol=1e-3)
    alpha = SCHEDULE.alphas_cumprod[600].item()
    expected = (X - alpha**0.5 * image) / (1 - alpha) ** 0.5
    torch.testing.assert_close(denoise.epsilon(X, 600), expected, rtol=1e-3, atol=1e-3)


def test_changes_are_applied_in_their_order():
    def to_one(estimate: Estimate) -> Estimate:
        return estimate.with_denoised(torch.ones_like(X))

    def doubled(estimate: Estimate) -> Estimate:
        return estimate.with_denoised(2 * estimate.denoised())

    result = denoiser(Gaussian(), changes=(to_one, doubled))(X, SIGMA)
    torch.testing.assert_close(result, torch.full_like(X, 2), rtol=1e-3, atol=1e-3)
