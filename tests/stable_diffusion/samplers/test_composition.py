"""Several prompts and prompts that change, as the denoiser gives them to the network."""

import pytest
import torch
from torch import Tensor

from stable_diffusion.conditioning import Conditioning
from stable_diffusion.conditioning_schedule import Composition, ConditioningSchedule
from stable_diffusion.guidance import guided_prediction, negative_cancels_out
from stable_diffusion.samplers import SAMPLERS
from stable_diffusion.samplers.denoiser import Denoiser
from stable_diffusion.samplers.estimate import EstimateOptions
from stable_diffusion.samplers.guided import GuidedNetwork
from stable_diffusion.samplers.noise import NoiseSource
from stable_diffusion.samplers.sampling import sample
from tests.stable_diffusion.samplers.toys import SCHEDULE, SHAPE

X = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(0))
T = torch.tensor([10.0, 500.0])


def row(value: float) -> Conditioning:
    return Conditioning(torch.full((1, 1, 1), value))


class Asked:
    """A network whose prediction is its conditioning's number, and what it was asked."""

    def __init__(self) -> None:
        self.rows: list[list[float]] = []
        self.timesteps: list[float] = []

    def __call__(self, x: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        values = conditioning.context[:, 0, 0]
        assert len(x) == len(timesteps) == len(values)
        self.rows.append(values.tolist())
        self.timesteps.append(timesteps[0].item())
        return values[:, None, None, None].expand_as(x).clone()


def predicted(
    *positive: tuple[float, float], scale: float, both: bool = False
) -> tuple[float, Asked]:
    """With a negative prompt of 1, and prompts of a weight and a value."""
    network = Asked()
    guided = guided_prediction(
        network,
        X,
        T,
        positive=[(weight, row(value)) for weight, value in positive],
        negative=row(1.0),
        scale=scale,
        both=both,
    )
    (value,) = guided.values.unique().tolist()
    return value, network


@pytest.mark.parametrize(
    ("positive", "scale", "expected"),
    [
        ([(1.0, 3.0)], 7.5, 1 + 7.5 * 2),
        ([(0.5, 3.0)], 4.0, 1 + 2 * 2),
        ([(1.0, 3.0), (1.0, 5.0)], 2.0, 1 + 2 * 2 + 2 * 4),
        ([(0.5, 3.0), (-1.0, 5.0)], 2.0, 1 + 2 - 2 * 4),
        ([(0.5, 3.0), (0.5, 5.0)], 1.0, 4),
        ([(1.0, 3.0), (1.0, 5.0)], 1.0, 1 + 2 + 4),
    ],
)
def test_every_prompt_pulls_by_its_weight(
    positive: list[tuple[float, float]], scale: float, expected: float
) -> None:
    value, network = predicted(*positive, scale=scale)
    assert value == pytest.approx(expected)
    weights = [weight for weight, _ in positive]
    one_latent = [number for _, number in positive]
    if not negative_cancels_out(weights, scale):
        one_latent = [1.0, *one_latent]
    assert network.rows == [one_latent * 2]


def test_the_negative_prompt_is_evaluated_where_it_is_asked_for() -> None:
    assert predicted((1.0, 3.0), scale=1.0)[1].rows == [[3.0, 3.0]]
    value, network = predicted((1.0, 3.0), scale=1.0, both=True)
    assert (value, network.rows) == (3.0, [[1.0, 3.0] * 2])


@pytest.mark.parametrize(
    ("sampler", "numbers"),
    [
        ("ddim", [1, 1, 2, 2]),
        ("k_euler", [1, 1, 2, 2]),
        ("k_dpmpp_2m", [1, 1, 2, 2]),
        ("k_heun", [1, 1, 1, 1, 2, 2, 2]),
        ("k_dpm_2", [1, 1, 1, 1, 2, 2, 2]),
        ("plms", [1, 1, 1, 2, 2]),
    ],
)
def test_a_stage_ends_with_its_step_however_often_a_sampler_evaluates(
    sampler: str, numbers: list[int]
) -> None:
    assert asked_for(sampler, strength=1.0) == numbers


def test_the_steps_of_image_to_image_count_from_the_first_that_is_executed() -> None:
    assert asked_for("k_euler", strength=0.75) == [1, 1, 2]
    assert asked_for("ddim", strength=0.5) == [1, 1]


def test_a_sampler_that_chooses_its_steps_changes_at_the_noise_level_of_the_step() -> None:
    sampler, network = "k_dpm_ad", Asked()
    numbers = asked_for(sampler, strength=1.0, network=network)
    third = SCHEDULE.timestep(SAMPLERS[sampler].spacing(SCHEDULE, 4))[2].item()
    assert numbers == [2 if timestep <= third else 1 for timestep in network.timesteps]
    assert set(numbers) == {1, 2}


def asked_for(sampler: str, strength: float, network: Asked | None = None) -> list[int]:
    """Which of two prompts was evaluated, the second from step 3 of 4 on."""
    network = network or Asked()
    stages = ConditioningSchedule(((2, row(1.0)), (4, row(2.0))))
    guided = GuidedNetwork(
        network=network,
        schedule=SCHEDULE,
        prediction="epsilon",
        positive=Composition(((1.0, stages),)),
        negative=ConditioningSchedule.constant(row(0.0)),
        options=EstimateOptions(guidance_scale=1.0),
    )
    denoiser = Denoiser(guided)
    image = torch.zeros(1, *SHAPE) if strength < 1 else None
    sample(
        SAMPLERS[sampler],
        denoiser,
        NoiseSource([1], SHAPE),
        steps=4,
        init_latents=image,
        strength=strength,
    )
    return [int(values[0]) for values in network.rows]


def test_stages_that_share_a_row_share_what_becomes_of_it() -> None:
    one, other = row(1.0), row(2.0)
    schedule = ConditioningSchedule(((1, one), (2, other), (3, one)))
    seen: list[Conditioning] = []
    composition = Composition(((1.0, schedule),)).map(lambda each: seen.append(each) or row(3.0))
    assert seen == [one, other]
    ((_, mapped),) = composition.prompts
    assert mapped.at(0) is mapped.at(2) is mapped.at(9) is not mapped.at(1)
