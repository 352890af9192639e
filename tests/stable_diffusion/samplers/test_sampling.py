import pytest
import torch
from torch import Tensor

from stable_diffusion.conditioning import Conditioning
from stable_diffusion.errors import NumericalError, RecipeError
from stable_diffusion.sampler_table import FEWEST_STEPS_TO_RESTART
from stable_diffusion.samplers import SAMPLERS
from stable_diffusion.samplers.estimate import Estimate
from stable_diffusion.samplers.noise import NoiseSource
from stable_diffusion.samplers.sampling import evaluations_planned, executed_steps, sample
from tests.stable_diffusion.samplers.toys import (
    DETERMINISTIC,
    EXACT,
    KEYS,
    MEAN,
    RANDOM,
    SHAPE,
    WITH_V,
    Gaussian,
    Prediction,
    denoiser,
    distance,
    draw,
    random_unet,
)

pytestmark = pytest.mark.heavy

every_sampler = pytest.mark.parametrize("key", KEYS)


@pytest.mark.parametrize(("key", "prediction"), WITH_V)
def test_every_sampler_draws_finite_pictures(key: str, prediction: Prediction):
    denoise = denoiser(random_unet(), prediction=prediction, scale=7.5)
    latents = draw(key, denoise, seeds=(1,), steps=10)
    assert latents.shape == (1, *SHAPE)
    assert latents.dtype == torch.float32
    assert torch.isfinite(latents).all()


@every_sampler
def test_every_sampler_works_with_very_few_steps(key: str):
    for steps in (1, 2, 3):
        denoise = denoiser(random_unet(), scale=7.5)
        assert torch.isfinite(draw(key, denoise, seeds=(1,), steps=steps)).all()


@every_sampler
def test_a_single_step_never_ends_in_raw_noise(key: str):
    assert draw(key, denoiser(Gaussian()), steps=1).std() < 1


# without distillation the answers of this model are means, and LCM returns the last of them
@pytest.mark.parametrize("key", [key for key in (*DETERMINISTIC, *RANDOM) if key != "lcm"])
def test_25_steps_draw_the_pictures_the_model_knows(key: str):
    latents = draw(key, denoiser(Gaussian()), seeds=tuple(range(16)))
    assert distance(latents.mean(0), MEAN) < 0.35
    assert latents.std(0).mean().item() == pytest.approx(0.5, rel=0.2)


@every_sampler
def test_the_number_types_may_be_half_as_wide_in_the_network(key: str):
    half = draw(key, denoiser(Gaussian(), dtype=torch.bfloat16), steps=10)
    whole = draw(key, denoiser(Gaussian()), steps=10)
    assert half.dtype == torch.float32
    assert distance(half, whole) < 0.15


# How far each still is, at 100 steps, from where the flow exactly leads. First order: DDIM, Euler,
# and DPM2 in its long last step. Fast and adaptive stop at the model's smallest σ, 0.03.
TOLERANCE = {"ddim": 0.02, "k_euler": 0.02, "k_dpm_2": 0.015, "k_dpm_ad": 0.03, "k_dpmpp_2m": 0.01}


@pytest.mark.parametrize("key", DETERMINISTIC)
@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_deterministic_samplers_agree_at_100_steps(key: str, prediction: Prediction):
    denoise = denoiser(Gaussian(prediction), prediction=prediction)
    exact = Gaussian.exact(NoiseSource((1, 2), SHAPE).initial())
    assert distance(draw(key, denoise, steps=100), exact) < TOLERANCE.get(key, 0.005)


@pytest.mark.parametrize("key", [key for key in EXACT if key in DETERMINISTIC])
def test_more_steps_come_closer(key: str):
    exact = Gaussian.exact(NoiseSource((1, 2), SHAPE).initial())
    few, many = (distance(draw(key, denoiser(Gaussian()), steps=n), exact) for n in (20, 200))
    assert many < few


@every_sampler
def test_the_same_seed_gives_the_same_picture_every_time(key: str):
    first, second = (draw(key, denoiser(random_unet()), seeds=(1,), steps=6) for _ in range(2))
    assert first.equal(second)


@every_sampler
def test_a_picture_is_the_same_alone_and_in_a_batch(key: str):
    batch = draw(key, denoiser(Gaussian(), scale=3.0), seeds=(5, 6, 7), steps=12, eta=1.0)
    for place, seed in enumerate((5, 6, 7)):
        alone = draw(key, denoiser(Gaussian(), scale=3.0), seeds=(seed,), steps=12, eta=1.0)
        torch.testing.assert_close(batch[place], alone[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("key", ["ddim", *RANDOM])
def test_a_picture_is_the_same_alone_and_in_a_batch_with_a_real_network(key: str):
    batch = draw(key, denoiser(random_unet(), scale=7.5), seeds=(5, 6), steps=8)
    alone = draw(key, denoiser(random_unet(), scale=7.5), seeds=(6,), steps=8)
    assert distance(batch[1:], alone) < 1e-4


@pytest.mark.parametrize("key", RANDOM)
def test_noise_on_the_way_is_new_and_depends_on_the_seed(key: str):
    start = NoiseSource((1,), SHAPE).initial()

    def from_the_same_start(seed: int) -> Tensor:
        return sample(
            SAMPLERS[key],
            denoiser(Gaussian()),
            NoiseSource((seed,), SHAPE),
            steps=FEWEST_STEPS_TO_RESTART,
            initial_noise=start,
        )

    assert distance(from_the_same_start(1), from_the_same_start(2)) > 0.3
    assert distance(from_the_same_start(1), Gaussian.exact(start)) > 0.3


@every_sampler
def test_the_process_wide_generator_changes_nothing(key: str):
    torch.manual_seed(1)
    first = draw(key, denoiser(Gaussian()), steps=4)
    torch.manual_seed(2)
    assert draw(key, denoiser(Gaussian()), steps=4).equal(first)


def test_eta_makes_ddim_random_and_stays_within_reason():
    plain, noisy, wild = (
        draw("ddim", denoiser(Gaussian()), seeds=tuple(range(32)), steps=50, eta=eta)
        for eta in (0.0, 1.0, 5.0)
    )
    assert distance(noisy, plain) > 0.3
    for latents in (plain, noisy):
        assert latents.std(0).mean().item() == pytest.approx(0.5, rel=0.15)
    assert distance(wild.mean(0), MEAN) < 0.25


@pytest.mark.parametrize("key", EXACT)
def test_the_planned_evaluations_are_those_that_happen(key: str):
    for steps in (1, 2, 3, 4, 10, 25):
        denoise = denoiser(Gaussian(), scale=7.5)
        draw(key, denoise, steps=steps)
        assert denoise.evaluations == evaluations_planned(SAMPLERS[key], steps, images=2)


@pytest.mark.parametrize("key", EXACT)
def test_the_planned_evaluations_hold_for_image_to_image(key: str):
    for strength in (0.01, 0.3, 0.5, 0.75, 1.0):
        denoise = denoiser(Gaussian(), scale=7.5)
        draw(key, denoise, steps=20, image=MEAN[None], strength=strength)
        executed = executed_steps(20, strength)
        assert denoise.evaluations == evaluations_planned(SAMPLERS[key], executed, images=2)


def test_the_estimate_for_the_adaptive_sampler_is_near_and_grows_with_the_images():
    denoise = denoiser(random_unet(), scale=7.5)
    draw("k_dpm_ad", denoise, seeds=(1, 2, 3))
    planned = evaluations_planned(SAMPLERS["k_dpm_ad"], 25, images=3)
    assert planned / 3 < denoise.evaluations < planned * 3


@pytest.mark.parametrize(
    ("steps", "strength", "expected"),
    [(50, 0.5, 25), (50, 1.0, 50), (50, 0.01, 1), (20, 0.99, 19), (1, 0.1, 1), (10, 0.3, 3)],
)
def test_strength_decides_how_many_steps_are_executed(steps: int, strength: float, expected: int):
    assert executed_steps(steps, strength) == expected


@every_sampler
def test_image_to_image_is_finite_with_any_strength_and_steps(key: str):
    for steps in (1, 2, 20):
        for strength in (0.02, 0.3, 0.75, 1.0):
            denoise = denoiser(Gaussian(), scale=7.5)
            latents = draw(key, denoise, steps=steps, image=MEAN[None], strength=strength)
            assert latents.shape == (2, *SHAPE)
            assert denoise.evaluations > 0


@every_sampler
def test_image_to_image_works_with_a_real_network(key: str):
    denoise = denoiser(random_unet(), prediction="v", scale=7.5)
    latents = draw(key, denoise, seeds=(1,), steps=12, image=MEAN[None], strength=0.5)
    assert torch.isfinite(latents).all()


@every_sampler
def test_a_weaker_strength_stays_closer_to_the_image(key: str):
    image = 1.5 - MEAN[None] * 2  # far from what the model draws
    distances = [
        distance(draw(key, denoiser(Gaussian()), image=image, strength=strength), image)
        for strength in (0.1, 0.3, 0.6, 0.9)
    ]
    assert distances == sorted(distances)
    assert distances[0] < 0.6 * distances[-1]


@every_sampler
def test_full_strength_starts_from_pure_noise(key: str):
    plain = draw(key, denoiser(Gaussian()), steps=10)
    image = MEAN[None] + 5
    assert draw(key, denoiser(Gaussian()), steps=10, image=image, strength=1.0).equal(plain)


def test_the_noise_multiplier_scales_the_noise_put_on_the_image():
    def drawn(multiplier: float) -> Tensor:
        return sample(
            SAMPLERS["k_euler"],
            denoiser(Gaussian()),
            NoiseSource((1, 2), SHAPE),
            steps=20,
            init_latents=MEAN[None],
            strength=0.5,
            noise_multiplier=multiplier,
        )

    spread = [(drawn(multiplier) - MEAN).std().item() for multiplier in (0.0, 0.5, 1.0)]
    assert spread[0] == pytest.approx(0, abs=1e-5)
    assert spread[1] == pytest.approx(spread[2] / 2, rel=1e-3)


@pytest.mark.parametrize("key", ["ddim", "k_euler"])
def test_one_given_noise_starts_all_pictures_alike(key: str):
    latents = sample(
        SAMPLERS[key],
        denoiser(Gaussian()),
        NoiseSource((1, 2, 3), SHAPE),
        steps=5,
        initial_noise=NoiseSource((1,), SHAPE).initial(),
    )
    assert latents.shape == (3, *SHAPE)
    assert latents[0].equal(latents[1])


class Cancelled(Exception):
    pass


@every_sampler
@pytest.mark.parametrize("when", [1, 7])
def test_a_cancellation_comes_out_of_every_sampler_at_once(key: str, when: int):
    def cancel(_estimate: Estimate) -> None:
        if denoise.evaluations == when:
            raise Cancelled

    denoise = denoiser(Gaussian(), on_evaluation=cancel)
    with pytest.raises(Cancelled):
        draw(key, denoise, steps=20)
    assert denoise.evaluations == when


@every_sampler
def test_a_network_that_answers_with_nan_is_an_error_and_no_black_picture(key: str):
    def broken(x: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        return x * float("nan")

    with pytest.raises(NumericalError):
        draw(key, denoiser(broken), steps=4)


@pytest.mark.parametrize("steps", [0, -1, 1001])
def test_steps_out_of_range_are_refused(steps: int):
    with pytest.raises(RecipeError, match="steps"):
        draw("ddim", denoiser(Gaussian()), steps=steps)


@pytest.mark.parametrize("strength", [0.0, -0.5, 1.01, float("nan")])
def test_strengths_out_of_range_are_refused(strength: float):
    with pytest.raises(RecipeError, match="strength"):
        draw("ddim", denoiser(Gaussian()), image=MEAN[None], strength=strength)


@every_sampler
def test_no_sampler_warns_or_writes(
    key: str, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
):
    draw(key, denoiser(Gaussian()), steps=3)
    assert capfd.readouterr() == ("", "")
    assert not list(recwarn)


@pytest.mark.parametrize("key", ["ddim", "plms"])
def test_a_thousand_steps_stay_within_the_schedule(key: str):
    exact = Gaussian.exact(NoiseSource((1, 2), SHAPE).initial())
    assert distance(draw(key, denoiser(Gaussian()), steps=1000), exact) < 0.01


@pytest.mark.parametrize(("key", "prediction"), WITH_V)
def test_a_change_of_the_estimate_reaches_every_sampler(key: str, prediction: Prediction):
    """As a mask: the left half is given, the right half is generated as without a mask."""
    given = (1 - MEAN)[..., :4]

    def mask(estimate: Estimate) -> Estimate:
        denoised = estimate.denoised().clone()
        denoised[..., :4] = given
        return estimate.with_denoised(denoised)

    network = Gaussian(prediction)
    plain = draw(key, denoiser(network, prediction=prediction), steps=30)
    masked = draw(key, denoiser(network, prediction=prediction, changes=(mask,)), steps=30)
    # DDIM, PLMS, fast and adaptive end at the smallest σ, not at 0
    assert distance(masked[..., :4], given.expand(2, -1, -1, -1)) < 0.05
    assert distance(plain[..., :4], given.expand(2, -1, -1, -1)) > 1
    # adaptive chooses its steps by the error of both halves
    assert distance(masked[..., 4:], plain[..., 4:]) < (0.05 if key == "k_dpm_ad" else 1e-3)
