"""The parts of a job with all that a worker needs to generate each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs.validation.request import Request, TextToImage
from worker.execution.edit_step import EditStep
from worker.execution.engine import Engine
from worker.execution.inputs import Inputs
from worker.execution.prompt_jobs import PromptJob
from worker.execution.upscale_step import UpscaleStep

if TYPE_CHECKING:
    from stable_diffusion.recipe import Recipe


@dataclass(frozen=True, eq=False)
class JobPart:
    """What is generated with one prompt and one combination of `vary`, and how.

    Attributes:
        first: the index of its first image among those of the job.
        upscale: enlarges its images; parts with the same sizes share it, and `edit`.
        edit: puts its images back into the init image; None: they are the result.
    """

    prompt_job: PromptJob
    recipe: "Recipe"
    first: int
    upscale: UpscaleStep
    edit: EditStep | None

    @property
    def request(self) -> Request:
        """The job's request, as if this were its only part."""
        return self.prompt_job.request


def job_parts_of(
    prompt_jobs: Sequence[PromptJob],
    inputs: Inputs,
    upscale_for: Callable[[Request], UpscaleStep],
    engine: Engine,
) -> tuple[JobPart, ...]:
    """The parts of a job in the order of their images.

    Args:
        inputs: as `read_inputs` returns them. They are prepared once for each size of images, and
            each way to enlarge them.
        upscale_for: the step that enlarges the images of a request.
    """
    prepared: dict[tuple[object, ...], tuple[UpscaleStep, EditStep | None, Inputs]] = {}
    parts: list[JobPart] = []
    first = 0
    for prompt_job in prompt_jobs:
        request = prompt_job.request
        size = request.W, request.H, request.generated_size
        if isinstance(request, TextToImage):
            size = *size, request.hires_upscaler
        if size not in prepared:
            upscale = upscale_for(request)
            enlarged = upscale.before(inputs)
            edit = EditStep.for_request(request, enlarged)
            prepared[size] = upscale, edit, edit.inputs if edit else enlarged
        upscale, edit, own_inputs = prepared[size]
        recipe = engine.recipe(prompt_job, own_inputs, upscale.between)
        parts.append(JobPart(prompt_job, recipe, first, upscale, edit))
        first += request.image_count
    return tuple(parts)


def generation_order(parts: Sequence[JobPart]) -> list[JobPart]:
    """The parts ordered so that each model, autoencoder, LoRA and refiner is loaded once."""
    models = [_model_of(part) for part in parts]

    def place(part: JobPart) -> list[int]:
        own = _model_of(part)
        return [
            next(index for index, model in enumerate(models) if model[:depth] == own[:depth])
            for depth in range(1, len(own) + 1)
        ]

    return sorted(parts, key=place)


def _model_of(part: JobPart) -> tuple[object, ...]:
    """What it is made of, first what takes longest to load."""
    request, loras = part.request, part.prompt_job.prompt.loras
    full = request.precision == "full"
    return str(request.ckpt), full, request.vae, loras, request.refiner_ckpt
