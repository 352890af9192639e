"""A job with several prompts, as one part for each prompt."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from jobs.request import Request
from stable_diffusion.prompt.grammar import ParsedPrompt, read_prompt


@dataclass(frozen=True)
class PromptJob:
    """What a job generates for one prompt.

    Attributes:
        request: the job's request, as if this were its only prompt.
        prompt, negative_prompt: those of the request. They are parsed here and nowhere else.
    """

    request: Request
    prompt: ParsedPrompt
    negative_prompt: ParsedPrompt


def prompt_jobs_of(request: Request, prompts: Sequence[str]) -> tuple[PromptJob, ...]:
    """One part for each prompt of a settled request; the seeds continue from part to part.

    Raises:
        PromptError: a prompt cannot be parsed.
    """
    assert request.seed is not None, "a request is settled before it becomes a job"
    negative_prompt = read_prompt(request.negative_prompt)
    return tuple(
        PromptJob(
            request.model_copy(update={"prompt": prompt} | _seeds(request, number)),
            read_prompt(prompt),
            negative_prompt,
        )
        for number, prompt in enumerate(prompts)
    )


def _seeds(request: Request, number: int) -> dict[str, int]:
    """Of the first picture of a prompt; variations have one seed and go on in the other."""
    seed, variation_seed = request.seed, request.variation_seed
    assert seed is not None
    images = number * request.image_count
    if request.variation_strength and variation_seed is not None:
        return {"seed": seed, "variation_seed": variation_seed + images}
    return {"seed": seed + images}


def low_memory(prompt_job: PromptJob) -> PromptJob:
    """The same images with the least memory: type `optimized`, one latent at a time."""
    update = {"type": "optimized", "turbo": False, "unet_bs": 1}
    return replace(prompt_job, request=prompt_job.request.model_copy(update=update))
