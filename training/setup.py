"""What the training of one model is given, and the models that it starts from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from stable_diffusion.families.family import Family
from stable_diffusion.families.unet_inputs import INPAINTING
from stable_diffusion.networks import Networks, moved
from stable_diffusion.weights.checkpoint import open_checkpoint
from stable_diffusion.weights.state_dict_loading import load_networks
from training.denoiser import Size, Stage
from training.plan import SCENES, STAGES, TEXT_SHARE
from training.progress import Budget, compute_clock


@dataclass
class TrainingSetup:
    """Folder, device, time and plan of the training of one model."""

    folder: Path
    device: torch.device
    minutes: float
    family: Family
    stages: Sequence[Stage] = STAGES
    text_share: float = TEXT_SHARE
    base: Networks | None = None  # a trained model to start from
    latents: Path | None = None  # folder of the encoded scenes, if not `folder`
    scenes: Mapping[Size, tuple[int, int]] = field(default_factory=lambda: SCENES)
    drawings: int = 1600  # number of pictures for the autoencoder

    @property
    def masked(self) -> bool:
        """Whether the model takes a mask."""
        return self.family.unet_inputs is INPAINTING

    def phase(self, name: str, share: float) -> tuple[Budget, Path, dict[str, Any]]:
        """The phase's budget, its state file, and its saved state, which is empty at the start."""
        path = self.folder / f"{name.replace(' ', '-')}.pt"
        state: dict[str, Any] = {}
        if path.exists():
            state = torch.load(path, map_location=self.device, weights_only=True)
        spent, clock = float(state.get("spent", 0.0)), compute_clock(self.device)
        budget = Budget(name, self.minutes * share, spent=spent, clock=clock)
        return budget, path, state


def load_trainable(path: Path, family: Family, device: torch.device) -> Networks:
    """The networks of a checkpoint in float32, with gradients."""
    networks = load_networks(open_checkpoint(path), family, device, torch.float32)
    for module in (networks.text, networks.unet, networks.vae):
        module.requires_grad_(True)
    moved(networks.unet, channels_last=True)
    moved(networks.vae, channels_last=True)
    return networks
