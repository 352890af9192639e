"""A job for the engine: every parameter, resolved and checked."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf
from types import MappingProxyType
from typing import Literal

from PIL.Image import Image

from stable_diffusion.bounds import (
    MAX_CACHE_INTERVAL,
    MAX_CLIP_SKIP,
    check_steps,
    check_strength,
    executed_steps,
)
from stable_diffusion.errors import RecipeError
from stable_diffusion.latent_upscalers import LatentUpscaler
from stable_diffusion.prompt.grammar import ParsedPrompt
from stable_diffusion.samplers import resolve
from stable_diffusion.samplers.variation import NO_VARIATION, Variation
from stable_diffusion.scheduler_table import AUTOMATIC

Precision = Literal["autocast", "mixed", "full"]
MemoryPlan = Literal["standard", "optimized"]
MaskFill = Literal["original", "fill", "noise", "latent_nothing"]
"""What the sampling starts from where the mask is: the image, its blurred surroundings, noise, or
latents of 0."""
SIDE_MULTIPLE = 8
"""Sides of all images are multiples of this; a family may need a larger one, see `Latents`."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One job for the engine: parameters of the images to generate.

    Attributes:
        prompt, negative_prompt: text in the native grammar, or what `read_prompt` made of it in
            either grammar.
        height, width: pixels, multiples of 8.
        steps: sampling steps asked for, 1 to 1000; see `bounds`.
        sampler: a key or label of the sampler table.
        scheduler: a key or label of the table of schedulers.
        guidance_scale: weight of the prompt against the negative prompt; 1 ignores the latter.
        guidance_rescale, guidance_start, guidance_end: see `EstimateOptions`.
        eta, s_churn, s_tmin, s_tmax, s_noise: see `SamplerOptions`.
        seed: of the first image; image i of the job has seed + i.
        variation: of the noise that the images start from.
        tiling: opposite edges of an image continue each other; see `tiling`.
        iterations, batch_size: the job generates iterations x batch_size images, a batch at a time.
        fixed_code: all images start from the noise of the first.
        inputs: images of width x height that the job starts from, by role: `init` is the image of
            image to image, `mask` (mode L) says which part of it is drawn anew: 255 is, 0 is kept,
            and what is between may change in part. Only latents are kept: pixels of the result
            are near those of the image, not equal.
        mask_fill: see `MaskFill`.
        image_scale: weight of the init image, for models that change it by an instruction; see
            `guidance.guided_prediction`.
        strength: share of the steps that are run on the init image, 0 < strength <= 1.
        noise_multiplier: factor of the noise that is added to the init image.
        precision: "full" is float32 throughout; with "autocast" and "mixed" the UNet computes in
            half precision where that is faster; see `half_precision`.
        memory_plan: "standard" keeps all weights on the device; for "optimized" see `memory_plan`.
        turbo: with the plan "optimized": keep more weights on the device, which is faster.
        unet_batch: latents per call of the UNet (guidance needs two for each image; a small model
            gets both in one call); None: the default of the device.
        clip_skip: the layer of the text encoders whose output is used, 1 (the last one) to 12; see
            `Family.clip_skip`.
        zero_negative: whether an empty negative prompt is zeros in place of its encoding; None: as
            the model's family has it.
        deterministic: neither share evaluations with other jobs nor replay recorded ones; see
            `step_batching` and `graphs`.
        cache_interval: all layers of the UNet are computed at every n-th evaluation, 1 to 10; in
            between only the shallowest, see `deep_cache`. 1: at each.
        refiner_switch_at: the share of the noise levels, 0 to 1, after which the refiner of the
            model goes on; None: it has no part in the sampling.
        second_pass: a second sampling of each image, larger; see `hires`.
        steps_before: of a second pass: the steps of the first. A prompt that AUTOMATIC1111's
            grammar edits counts them on, and `strength` holds without an input, too.

    Raises:
        RecipeError: a value outside these ranges.
        UnknownSampler: no sampler has that name.
    """

    prompt: str | ParsedPrompt
    negative_prompt: str | ParsedPrompt = ""
    height: int = 512
    width: int = 512
    steps: int = 50
    sampler: str = "ddim"
    scheduler: str = AUTOMATIC
    guidance_scale: float = 7.5
    guidance_rescale: float = 0.0
    guidance_start: float = 0.0
    guidance_end: float = 1.0
    eta: float | None = None
    s_churn: float = 0.0
    s_tmin: float = 0.0
    s_tmax: float = inf
    s_noise: float = 1.0
    seed: int = 42
    variation: Variation = NO_VARIATION
    tiling: bool = False
    iterations: int = 1
    batch_size: int = 1
    fixed_code: bool = False
    precision: Precision = "autocast"
    inputs: Mapping[str, Image] = field(default_factory=dict, hash=False)
    strength: float = 0.5
    noise_multiplier: float = 1.0
    mask_fill: MaskFill = "original"
    image_scale: float = 1.5
    memory_plan: MemoryPlan = "standard"
    turbo: bool = False
    unet_batch: int | None = None
    deterministic: bool = False
    cache_interval: int = 1
    clip_skip: int = 1
    zero_negative: bool | None = None
    refiner_switch_at: float | None = None
    second_pass: "SecondPass | None" = None
    steps_before: int = 0

    def __post_init__(self) -> None:
        resolve(self.sampler, self.scheduler)
        for name in ("height", "width"):
            side = getattr(self, name)
            if side < SIDE_MULTIPLE or side % SIDE_MULTIPLE:
                raise RecipeError(f"{name} is {side}; it must be a multiple of {SIDE_MULTIPLE}")
        for name in ("iterations", "batch_size", "unet_batch"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise RecipeError(f"{name} is {value}; it must be at least 1")
        for name, most in (("clip_skip", MAX_CLIP_SKIP), ("cache_interval", MAX_CACHE_INTERVAL)):
            value = getattr(self, name)
            if not 1 <= value <= most:
                raise RecipeError(f"{name} is {value}; it must be 1 to {most}")
        if self.refiner_switch_at is not None and not 0 <= self.refiner_switch_at < 1:
            raise RecipeError(
                f"refiner_switch_at is {self.refiner_switch_at}; it must be 0 up to but without 1"
            )
        check_steps(self.steps)
        check_strength(self.strength)
        object.__setattr__(self, "inputs", MappingProxyType(dict(self.inputs)))
        for role, image in self.inputs.items():
            if role not in _INPUT_SIZES:
                raise RecipeError(f"there is no input {role!r}; there are {sorted(_INPUT_SIZES)}")
            size = _INPUT_SIZES[role](self)
            if image.size != size:
                raise RecipeError(f"{role}_image is {image.size}; it must be {size}")
        if self.mask and (not self.init_image or self.mask.mode != "L"):
            raise RecipeError("a mask needs an init image, and must have the mode L")

    @property
    def images(self) -> int:
        """How many images the job generates."""
        return self.iterations * self.batch_size

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.width, self.height

    @property
    def final_size(self) -> tuple[int, int]:
        """Width and height in pixels of the finished images."""
        return self.second_pass.recipe.size if self.second_pass else self.size

    @property
    def executed_steps(self) -> int:
        """How many of its steps are executed: all of text to image, a share with an image."""
        from_image = self.init_image is not None or self.steps_before > 0
        return executed_steps(self.steps, self.strength if from_image else 1.0)

    @property
    def caches(self) -> bool:
        """Whether layers are left out, see `cache_interval`: not between the steps of few."""
        return self.cache_interval > 1 and not resolve(self.sampler).row.distilled

    @property
    def init_image(self) -> Image | None:
        """The image of image to image; None: the job is text to image."""
        return self.inputs.get("init")

    @property
    def mask(self) -> Image | None:
        """Which part of the init image is drawn anew; None: all of it."""
        return self.inputs.get("mask")


@dataclass(frozen=True, kw_only=True)
class SecondPass:
    """What follows the first sampling of each image of a recipe.

    Attributes:
        recipe: of an image, in the second size, with `steps_before`; its seeds are those of the
            image, and its input is what the first pass made of it.
        enlarge: brings an image of the first size to the second, or how its latents are resampled.
    """

    recipe: Recipe
    enlarge: Callable[[Image], Image] | LatentUpscaler

    def __post_init__(self) -> None:
        if self.recipe.images != 1 or not self.recipe.steps_before or self.recipe.second_pass:
            raise RecipeError("the recipe of a second pass is of one image, with steps_before")


_INPUT_SIZES: dict[str, Callable[[Recipe], tuple[int, int]]] = {
    "init": lambda recipe: recipe.size,
    "mask": lambda recipe: recipe.size,
}
"""The size that the image of each role must have."""
