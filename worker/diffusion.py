"""`stable_diffusion` behind the worker's seam. Importing this module imports torch."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from jobs.request import Request
from stable_diffusion.generate import Evaluation, Picture, describe, generate
from stable_diffusion.model import Model, load_model
from stable_diffusion.recipe import Recipe
from worker.recipes import recipe_of


class StableDiffusion:
    """The engine.

    Args:
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        threads: how many threads one job computes with. OMP_NUM_THREADS is an upper bound.
    """

    def __init__(self, device: str, threads: int) -> None:
        torch.set_num_threads(min(threads, torch.get_num_threads()))
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = "cuda:0" if device == "cuda" else device

    def load(self, name: str, path: Path) -> Model:
        return load_model(path, name=name, device=self.device)

    def recipe(self, request: Request, init_image: bytes | None) -> Recipe:
        return recipe_of(request, init_image)

    def generate(
        self, model: Model, recipe: Recipe, on_evaluation: Callable[[Evaluation], None]
    ) -> Iterator[Picture]:
        return generate(model, recipe, on_evaluation)

    def describe(self, model: Model, recipe: Recipe) -> dict[str, Any]:
        return describe(model, recipe)
