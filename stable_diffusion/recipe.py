"""What to make: every choice the engine needs, resolved once and checked."""

from dataclasses import dataclass
from typing import Literal

from PIL.Image import Image

from stable_diffusion.bounds import check_steps, check_strength
from stable_diffusion.errors import RecipeError
from stable_diffusion.prompt.grammar import ParsedPrompt
from stable_diffusion.samplers import resolve
from stable_diffusion.variants import DOWNSAMPLING

Precision = Literal["autocast", "mixed", "full"]
MemoryPlan = Literal["standard", "optimized"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One job for the engine.

    Attributes:
        prompt, negative_prompt: text in the grammar of `prompt/`, or what `read_prompt` made of it.
        height, width: pixels, multiples of 8.
        steps: sampling steps asked for, 1 to 1000; see `bounds`.
        sampler: a key or label of the sampler table.
        guidance_scale: weight of the prompt against the negative prompt; 1 leaves the latter out.
        eta: DDIM's η, 0 (deterministic) to 1 (as noisy as DDPM).
        seed: of the first image; image i of the job uses seed + i.
        iterations, batch_size: the job makes iterations x batch_size images, a batch at a time.
        fixed_code: all images start from the first one's noise.
        init_image: picture to start from; its size must be width x height.
        strength: share of the steps to run on the init image, 0 < strength <= 1.
        noise_multiplier: scales the noise that is added to the init image.
        precision: "full" is float32 throughout; with "autocast" and "mixed" the UNet works in half
            precision where the device gains by it; see `half`.
        memory_plan: "standard" keeps the whole model at hand; for "optimized" see `memory_plan`.
        turbo: of the plan "optimized": let more of the model stay, and so be quicker.
        unet_batch: how many latents the UNet sees at once (guidance doubles a batch's; of a small
            model both of a picture's go together); None leaves it to the device.
        deterministic: share no evaluation with another job and replay none; see `batching` and
            `graphs`.

    Raises:
        RecipeError: a value outside these ranges.
        UnknownSampler: no sampler goes by that name.
    """

    prompt: str | ParsedPrompt
    negative_prompt: str | ParsedPrompt = ""
    height: int = 512
    width: int = 512
    steps: int = 50
    sampler: str = "ddim"
    guidance_scale: float = 7.5
    eta: float = 0.0
    seed: int = 42
    iterations: int = 1
    batch_size: int = 1
    fixed_code: bool = False
    precision: Precision = "autocast"
    init_image: Image | None = None
    strength: float = 0.5
    noise_multiplier: float = 1.0
    memory_plan: MemoryPlan = "standard"
    turbo: bool = False
    unet_batch: int | None = None
    deterministic: bool = False

    def __post_init__(self) -> None:
        resolve(self.sampler)
        for name in ("height", "width"):
            side = getattr(self, name)
            if side < DOWNSAMPLING or side % DOWNSAMPLING:
                raise RecipeError(f"{name} is {side}; it must be a multiple of {DOWNSAMPLING}")
        if self.unet_batch is not None and self.unet_batch < 1:
            raise RecipeError(f"unet_batch is {self.unet_batch}; it must be at least 1")
        check_steps(self.steps)
        check_strength(self.strength)
        for name in ("iterations", "batch_size"):
            if getattr(self, name) < 1:
                raise RecipeError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.init_image is not None and self.init_image.size != (self.width, self.height):
            raise RecipeError(
                f"init_image is {self.init_image.size}; it must be {(self.width, self.height)}"
            )

    @property
    def images(self) -> int:
        """How many pictures the job makes."""
        return self.iterations * self.batch_size

    @property
    def latent_shape(self) -> tuple[int, int]:
        """Height and width of the latents."""
        return self.height // DOWNSAMPLING, self.width // DOWNSAMPLING
