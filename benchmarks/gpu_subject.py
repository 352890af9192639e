"""What the GPU's benchmarks measure: a model's file, its recipe, and where it runs."""

from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.checkpoints import random_checkpoint
from benchmarks.harness import BenchmarkOptions
from stable_diffusion import tiny
from stable_diffusion.families.family import Family
from stable_diffusion.families.sd1 import SD1
from stable_diffusion.families.tiny import TINY
from stable_diffusion.loader import Loader
from stable_diffusion.model import Model
from stable_diffusion.recipe import Recipe
from stable_diffusion.weights.fingerprint import Fingerprints

PROMPT = "a red dragon on a beach"


@dataclass(frozen=True)
class Subject:
    """A model of one family on one device.

    Attributes:
        folder: for further files.
        rehearsal: whether it is tiny, on a CPU, to find errors only.
    """

    family: Family
    file: Path
    device: torch.device
    recipe: Recipe
    rounds: int
    folder: Path
    rehearsal: bool

    @property
    def job(self) -> str:
        """Its recipe in words."""
        return f"a job, {self.recipe.width} x {self.recipe.height}, {self.recipe.steps} steps"

    def load(self, *, offloaded: bool = False, max_unet_bytes: int = 0) -> Model:
        """The model as a worker of this device loads it."""
        loader = Loader(
            str(self.device),
            Fingerprints(None),
            max_concurrent=1,
            max_unet_bytes=max_unet_bytes,
        )
        return loader.load("model", self.file, offloaded=offloaded)


def subject_of(options: BenchmarkOptions, family: Family = SD1, steps: int = 50) -> Subject:
    """A full-size model of random weights at its native size; in a rehearsal, the tiny model."""
    rehearsal = options.rehearsal
    side = 64 if rehearsal else family.native_size
    recipe = Recipe(prompt=PROMPT, steps=2 if rehearsal else steps, width=side, height=side)
    device = torch.device("cpu") if rehearsal else torch.device("cuda:0")
    if rehearsal:
        return Subject(TINY, tiny.PATH, device, recipe, options.rounds, options.folder, rehearsal)
    file = options.folder / f"{family.id}.safetensors"
    if not file.exists():
        random_checkpoint(file, 1, family)
    return Subject(family, file, device, recipe, options.rounds, options.folder, rehearsal)
