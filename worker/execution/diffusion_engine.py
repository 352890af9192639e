"""`stable_diffusion` behind the worker's `Engine` protocol. Importing this module imports torch."""

import gc
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from jobs.names import usual_prediction
from jobs.pictures.inputs import InputRole
from stable_diffusion.cuda.device_thread import thread_of, with_index
from stable_diffusion.cuda.graphs import free_memory
from stable_diffusion.generate import Evaluation, Picture, describe, generate
from stable_diffusion.guided_network import check_refiner
from stable_diffusion.load_model import with_small_autoencoder
from stable_diffusion.loader import Loader, ModelDescription
from stable_diffusion.lora import lora_size, read_lora, with_loras
from stable_diffusion.model import HASH_DIGITS, Model
from stable_diffusion.preview import LatentPreview
from stable_diffusion.recipe import Recipe
from stable_diffusion.stopwatch import Stopwatch
from stable_diffusion.upscaling.upscale import Upscaler, doubled
from stable_diffusion.weights.fingerprint import Fingerprints
from stable_diffusion.weights.reading import replaces_full_vae
from stable_diffusion.weights.weight_cache import WeightCache
from worker.cores import available_memory
from worker.execution.model_warnings import model_warnings
from worker.execution.prompt_jobs import PromptJob
from worker.execution.recipes import recipe_of
from worker.models.catalogue import Catalogue
from worker.models.configs import with_config
from worker.models.embeddings import EmbeddingLoader
from worker.models.model_key import ModelKey
from worker.models.upscalers import Upscalers

# 64 MiB, less than any image needs
_PROBE_VALUES = 1 << 24


class StableDiffusion:
    """The engine.

    Args:
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        threads: torch threads of one job. OMP_NUM_THREADS is an upper bound.
        upscalers: folder of the upscalers; need not exist.
        upscaler: the file to use; empty: the first of the folder, or the shipped one.
        cache: folder for the fingerprints, the weight cache, and weights that large LoRAs have
            changed; None: neither is kept.
        weight_cache_bytes: the most disk the weight cache may take; 0: no weight cache, and changed
            weights are in memory.
        catalogue: the installed embeddings; None: there are none.
        max_concurrent: how many batched evaluations of a model run at once; 0: no step batching.
        graphs: whether a GPU records evaluations of the network and replays them.
        unet_vram_budget: bytes of an offloaded UNet that may be on the GPU at once; 0: all of it.
        workers: processes that share this machine's memory.
    """

    def __init__(
        self,
        device: str,
        threads: int,
        upscalers: Path,
        upscaler: str = "",
        *,
        cache: Path | None = None,
        weight_cache_bytes: int = 0,
        catalogue: Catalogue | None = None,
        max_concurrent: int = 0,
        graphs: bool = True,
        unet_vram_budget: int = 0,
        workers: int = 1,
    ) -> None:
        torch.set_num_threads(min(threads, torch.get_num_threads()))
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = str(with_index(device))
        # a disk that may not hold converted models may not hold changed weights either
        self._cache = cache if weight_cache_bytes else None
        self._upscalers = Upscalers(upscalers, upscaler, self.device)
        self._fingerprints = Fingerprints(cache / "fingerprints.json" if cache else None)
        weight_cache = (
            WeightCache(cache / "models", weight_cache_bytes)
            if cache and weight_cache_bytes
            else None
        )
        self._loader = Loader(
            self.device,
            self._fingerprints,
            weight_cache,
            max_concurrent=max_concurrent,
            graphs=graphs,
            max_unet_bytes=unet_vram_budget,
            max_pinned_bytes=available_memory() // (4 * workers),
        )
        self._embeddings = EmbeddingLoader(catalogue)
        self._latent_preview = LatentPreview(
            lambda name: catalogue.vaes().get(name) if catalogue else None
        )

    def memory_bytes(self) -> int:
        if self.device == "cpu":
            return available_memory()
        return torch.cuda.mem_get_info(self.device)[1]

    def base_of(self, key: ModelKey) -> ModelKey | None:
        if self._is_full_anyway(key):
            return replace(key, full=False)
        return key.with_own_vae if replaces_full_vae(key.path, key.vae) else key.base

    def estimate_bytes(self, key: ModelKey, base: Model | None) -> int:
        if base is None:
            return self._loader.estimate_bytes(key.path, offloaded=key.offloaded, full=key.full)
        if self._is_full_anyway(key):
            return 0
        if key.vae and replaces_full_vae(key.path, key.vae):
            return key.vae_signature[0]
        return lora_size(base, [read_lora(lora.path) for lora in key.loras])

    def load(self, key: ModelKey, on_progress: Callable[[float], object]) -> Model:
        return self._loader.load(
            key.name,
            key.path,
            prediction=usual_prediction(key.name),
            vae=key.vae,
            offloaded=key.offloaded,
            full=key.full,
            on_progress=on_progress,
        )

    def derive(self, base: Model, key: ModelKey) -> Model:
        if self._is_full_anyway(key):
            return replace(base, nbytes=0)
        if key.vae and replaces_full_vae(key.path, key.vae):
            return with_small_autoencoder(base, key.vae)
        return with_loras(
            base,
            [(read_lora(lora.path), (lora.weight, lora.unet_weight)) for lora in key.loras],
            self._cache,
        )

    def _is_full_anyway(self, key: ModelKey) -> bool:
        """Whether a key asks for full precision, and its model is the same without it."""
        unet_type = partial(self._loader.unet_type, key.path, offloaded=key.offloaded)
        return key.full and unet_type() == unet_type(full=True)

    def prepare(self, model: Model, prompt_job: PromptJob) -> tuple[Model, tuple[str, ...]]:
        model, config_warnings = with_config(model, prompt_job.request.config)
        model, embedding_warnings = self._embeddings.add_to(model, prompt_job.prompts)
        warnings = model.warnings + config_warnings + embedding_warnings
        if model.refiner is not None:
            check_refiner(model, model.refiner)
            # those of the LoRAs, too, so that their names are known
            refiner = replace(model.refiner, embeddings=model.embeddings)
            refiner, told = self._embeddings.add_to(refiner, prompt_job.prompts, model)
            model = replace(model, refiner=refiner)
            warnings += tuple(f"refiner: {warning}" for warning in told)
        return model, warnings + model_warnings(model, prompt_job)

    def offloaded(self, recipe: Recipe) -> bool:
        # a GPU keeps models resident in half precision, which `full` cannot use
        needed = recipe.memory_plan == "optimized" or recipe.precision == "full"
        return needed and self.device != "cpu"

    def describe_model(self, name: str, path: Path) -> ModelDescription:
        return self._loader.describe(path, usual_prediction(name))

    def known_hash(self, path: Path) -> str:
        return (self._fingerprints.known(path) or "")[:HASH_DIGITS]

    def recipe(
        self,
        prompt_job: PromptJob,
        inputs: Mapping[InputRole, Image.Image],
        enlarge: Callable[[Image.Image], Image.Image],
    ) -> Recipe:
        return recipe_of(prompt_job, inputs, enlarge)

    def generate(
        self,
        model: Model,
        recipe: Recipe,
        on_evaluation: Callable[[Evaluation], None],
        stopwatch: Stopwatch,
    ) -> Iterator[Picture]:
        return generate(model, recipe, on_evaluation, stopwatch)

    def preview(self, model: Model, evaluation: Evaluation) -> Image.Image:
        return self._latent_preview.image(model, evaluation.denoised()[0])

    def describe(self, model: Model, recipe: Recipe) -> dict[str, Any]:
        return describe(model, recipe)

    def upscaler(self) -> Upscaler:
        return self._upscalers.get()

    def double(
        self, upscaler: Upscaler, image: Image.Image, on_tile: Callable[[float], object]
    ) -> Image.Image:
        return doubled(upscaler, image, on_tile)

    def free_and_probe(self) -> None:
        gc.collect()
        device = torch.device(self.device)
        if thread := thread_of(device):
            # between evaluations: none replays the recordings that are dropped
            thread.run(free_memory)
        probe = torch.ones(_PROBE_VALUES, device=device)
        if float((2 * probe)[-1]) != 2:
            raise MemoryError(f"{self.device} does not compute correctly any more")
