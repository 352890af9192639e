"""`stable_diffusion` behind the worker's seam. Importing this module imports torch."""

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from jobs.request import Request
from stable_diffusion.generate import Evaluation, Picture, describe, generate
from stable_diffusion.model import Model, load_model
from stable_diffusion.recipe import Recipe
from stable_diffusion.stopwatch import Stopwatch
from stable_diffusion.upscale import Upscaler, doubled
from worker.recipes import recipe_of
from worker.upscalers import Upscalers

# 64 MiB, less than any picture needs
_PROBE_VALUES = 1 << 24


class StableDiffusion:
    """The engine.

    Args:
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        threads: how many threads one job computes with. OMP_NUM_THREADS is an upper bound.
        upscalers: folder of the upscalers; need not exist.
        upscaler: the one to use; empty: the first of the folder, or the shipped one.
    """

    def __init__(self, device: str, threads: int, upscalers: Path, upscaler: str = "") -> None:
        torch.set_num_threads(min(threads, torch.get_num_threads()))
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = "cuda:0" if device == "cuda" else device
        self._upscalers = Upscalers(upscalers, upscaler, self.device)

    def load(self, name: str, path: Path) -> Model:
        return load_model(path, name=name, device=self.device)

    def recipe(self, request: Request, init_image: Image.Image | None) -> Recipe:
        return recipe_of(request, init_image)

    def generate(
        self,
        model: Model,
        recipe: Recipe,
        on_evaluation: Callable[[Evaluation], None],
        stopwatch: Stopwatch,
    ) -> Iterator[Picture]:
        return generate(model, recipe, on_evaluation, stopwatch)

    def describe(self, model: Model, recipe: Recipe) -> dict[str, Any]:
        return describe(model, recipe)

    def upscaler(self) -> Upscaler:
        return self._upscalers.get()

    def doubled(
        self, upscaler: Upscaler, image: Image.Image, on_tile: Callable[[], object]
    ) -> Image.Image:
        return doubled(upscaler, image, on_tile)

    def relieve(self) -> None:
        gc.collect()
        if self.device != "cpu":
            torch.cuda.empty_cache()
        probe = torch.ones(_PROBE_VALUES, device=self.device)
        if float((2 * probe)[-1]) != 2:
            raise MemoryError(f"{self.device} does not compute any more")
