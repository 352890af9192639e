"""The parts of a job, each with its prompts parsed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from jobs.names import sampler_named
from jobs.prompts.parts import parts_of
from jobs.records.stored_prompts import PROMPTS_OF_PARTS
from jobs.validation.hires_rules import second_pass_steps
from jobs.validation.request import ImageToImage, Request, TextToImage
from stable_diffusion.bounds import executed_steps
from stable_diffusion.prompt.grammar import ParsedPrompt, read_prompt


@dataclass(frozen=True)
class PromptJob:
    """A part of a job: what it generates for one prompt and one combination of `vary`.

    Attributes:
        request: the job's request, as if this were its only part.
        prompt, negative_prompt: those of the request. Each is parsed once, and nowhere else.
        hires_prompt, hires_negative_prompt: those of its second pass, if it has some.
    """

    request: Request
    prompt: ParsedPrompt
    negative_prompt: ParsedPrompt
    hires_prompt: ParsedPrompt | None = None
    hires_negative_prompt: ParsedPrompt | None = None

    @property
    def prompts(self) -> tuple[ParsedPrompt, ...]:
        """All that are encoded."""
        hires = (self.hires_prompt, self.hires_negative_prompt)
        return (self.prompt, self.negative_prompt, *(prompt for prompt in hires if prompt))

    @property
    def evaluations(self) -> int:
        """About how many evaluations of the network it takes, for progress."""
        request = self.request
        sampler = sampler_named(request.sampler)
        assert sampler, "a request has a sampler of the table"
        steps = request.ddim_steps
        if isinstance(request, ImageToImage):
            steps = executed_steps(steps, request.denoising_strength)
        images = 1 if sampler.exact else request.n_samples
        first = request.n_iter * images * sampler.evaluations(steps, True)
        if not (isinstance(request, TextToImage) and request.has_second_pass):
            return first
        second = sampler_named(request.hires_sampler or request.sampler) or sampler
        of_image = second.evaluations(second_pass_steps(request), True)
        return first + request.image_count * of_image


def prompt_jobs_of(
    request: Request, stored: Mapping[str, Any] | None = None
) -> tuple[PromptJob, ...]:
    """The parts of a settled request: of its combinations, of its file, of its wildcards.

    Args:
        stored: the request as its record has it, with the prompts of its parts; None: they have
            those of the request.

    Raises:
        PromptError: a prompt cannot be parsed.
    """
    assert request.seed is not None, "a request is settled before it becomes a job"
    stored = stored or {}
    texts = {field: stored[key] for field, key in PROMPTS_OF_PARTS.items() if key in stored}
    lines = len(texts.get("prompt", ())) or 1
    if request.wildcards:
        lines //= len(request.combinations()) * request.image_count
    parts = [
        part.model_copy(update={field: each[number] for field, each in texts.items()})
        for number, part in enumerate(parts_of(request, lines))
    ]
    read = cache(read_prompt)

    def second(part: Request, field: str) -> ParsedPrompt | None:
        text = getattr(part, field, "")
        if not (isinstance(part, TextToImage) and part.has_second_pass and text):
            return None
        return read(text, part.prompt_grammar, negative=field.endswith("negative_prompt"))

    return tuple(
        PromptJob(
            part,
            read(part.prompt, part.prompt_grammar),
            read(part.negative_prompt, part.prompt_grammar, negative=True),
            second(part, "hires_prompt"),
            second(part, "hires_negative_prompt"),
        )
        for part in parts
    )


def low_memory(prompt_job: PromptJob) -> PromptJob:
    """The same images with the least memory: type `optimized`, one latent at a time."""
    update = {"type": "optimized", "turbo": False, "unet_bs": 1}
    return replace(prompt_job, request=prompt_job.request.model_copy(update=update))
