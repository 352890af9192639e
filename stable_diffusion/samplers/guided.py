"""A network with what it is conditioned on, and the one that takes over from it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from stable_diffusion.conditioning import Network
from stable_diffusion.conditioning_schedule import Composition, ConditioningSchedule
from stable_diffusion.samplers.estimate import EstimateOptions, NoiseLevel, Prediction
from stable_diffusion.samplers.schedule import NoiseSchedule


@dataclass(frozen=True, eq=False, kw_only=True)
class GuidedNetwork:
    """What a denoiser evaluates.

    Attributes:
        network: see `stable_diffusion.conditioning.Network`.
        schedule: the noise levels it was trained on.
        prediction: what it predicts, see `Estimate`.
        positive: of the prompt.
        negative: of the negative prompt.
        options: guidance, and changes of the estimate.
        imageless: of the negative prompt, without the image that the network is guided by; None:
            there is none.
    """

    network: Network
    schedule: NoiseSchedule
    prediction: Prediction
    positive: Composition
    negative: ConditioningSchedule
    options: EstimateOptions
    imageless: ConditioningSchedule | None = None

    def timestep(self, level: NoiseLevel, schedule: NoiseSchedule) -> Tensor:
        """The timestep of a level whose own timestep is another schedule's, (n,) float32."""
        if torch.equal(schedule.sigmas, self.schedule.sigmas):
            return level.timestep.float()
        sigma = torch.as_tensor(level.noise / level.image).flatten()
        return self.schedule.timestep(sigma.to(level.timestep)).expand(len(level.timestep))


@dataclass(frozen=True, eq=False)
class Refinement:
    """A second network for the last part of a sampling.

    Attributes:
        guided: the network.
        begins: the timestep below which it is evaluated, by the schedule of the first network.
    """

    guided: GuidedNetwork
    begins: float
