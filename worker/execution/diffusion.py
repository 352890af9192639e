"""`stable_diffusion` behind the worker's seam. Importing this module imports torch."""

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from jobs.names import usual_prediction
from jobs.request import Request
from stable_diffusion.generate import Evaluation, Picture, describe, generate
from stable_diffusion.loader import Loader
from stable_diffusion.lora import lora_size, read_lora, with_loras
from stable_diffusion.model import HASH_DIGITS, Model
from stable_diffusion.preview import LatentPreview
from stable_diffusion.recipe import Recipe
from stable_diffusion.stopwatch import Stopwatch
from stable_diffusion.upscale import Upscaler, doubled
from stable_diffusion.weights.fingerprint import Fingerprints
from stable_diffusion.weights.weight_cache import WeightCache
from worker.cores import available_memory
from worker.execution.recipes import recipe_of
from worker.models.catalogue import Catalogue
from worker.models.configs import configured
from worker.models.embeddings import Vectors
from worker.models.model_key import ModelKey
from worker.models.upscalers import Upscalers

# 64 MiB, less than any picture needs
_PROBE_VALUES = 1 << 24


class StableDiffusion:
    """The engine.

    Args:
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        threads: how many threads one job computes with. OMP_NUM_THREADS is an upper bound.
        upscalers: folder of the upscalers; need not exist.
        upscaler: the one to use; empty: the first of the folder, or the shipped one.
        cache: folder for fingerprints and ready copies of models; None: neither is kept.
        copies_size: bytes that the ready copies may take together; 0: none is made.
        catalogue: where embeddings are found; None: there are none.
        max_concurrent: how many evaluations that jobs share run at once; 0: they share none.
        graphs: whether a GPU replays what it has recorded.
        optimized_weights: bytes of a UNet that a GPU may have at once where not the whole model is
            at hand; 0: all of it.
    """

    def __init__(
        self,
        device: str,
        threads: int,
        upscalers: Path,
        upscaler: str = "",
        *,
        cache: Path | None = None,
        copies_size: int = 0,
        catalogue: Catalogue | None = None,
        max_concurrent: int = 0,
        graphs: bool = True,
        optimized_weights: int = 0,
    ) -> None:
        torch.set_num_threads(min(threads, torch.get_num_threads()))
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = "cuda:0" if device == "cuda" else device
        self._upscalers = Upscalers(upscalers, upscaler, self.device)
        self._fingerprints = Fingerprints(cache / "fingerprints.json" if cache else None)
        copies = WeightCache(cache / "models", copies_size) if cache and copies_size else None
        self._loader = Loader(
            self.device,
            self._fingerprints,
            copies,
            max_concurrent=max_concurrent,
            graphs=graphs,
            max_unet_bytes=optimized_weights,
        )
        self._vectors = Vectors(catalogue)
        self._latent_preview = LatentPreview()

    def memory(self) -> int:
        if self.device == "cpu":
            return available_memory()
        return torch.cuda.mem_get_info(self.device)[1]

    def estimate_bytes(self, wanted: ModelKey, base: Model | None) -> int:
        if base is None:
            return self._loader.estimate_bytes(wanted.path, offloaded=wanted.offloaded)
        return lora_size(base, [read_lora(lora.path) for lora in wanted.loras])

    def load(self, wanted: ModelKey, on_progress: Callable[[float], object]) -> Model:
        return self._loader.load(
            wanted.name,
            wanted.path,
            prediction=usual_prediction(wanted.name),
            offloaded=wanted.offloaded,
            on_progress=on_progress,
        )

    def with_loras(self, base: Model, wanted: ModelKey) -> Model:
        return with_loras(base, [(read_lora(lora.path), lora.weight) for lora in wanted.loras])

    def prepared(self, model: Model, request: Request) -> tuple[Model, tuple[str, ...]]:
        model, about_config = configured(model, request.config)
        prompts = (request.prompt, request.negative_prompt)
        model, about_vectors = self._vectors.prepared(model, prompts)
        return model, about_config + about_vectors

    def offloaded(self, recipe: Recipe) -> bool:
        rare = recipe.memory_plan == "optimized" or recipe.precision == "full"
        return rare and self.device != "cpu"

    def kind(self, name: str, path: Path) -> str:
        return self._loader.describe(path, usual_prediction(name)).kind

    def known_hash(self, path: Path) -> str:
        return (self._fingerprints.known(path) or "")[:HASH_DIGITS]

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

    def preview(self, model: Model, evaluation: Evaluation) -> Image.Image:
        return self._latent_preview.of(model)(evaluation.denoised()[0])

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
