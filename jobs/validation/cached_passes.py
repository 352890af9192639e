"""Whether `cache` has an effect on a request."""

from collections.abc import Iterator

from jobs.names import sampler_named
from jobs.validation.hires_rules import second_pass_steps
from jobs.validation.request import ImageToImage, Request, TextToImage
from stable_diffusion.bounds import executed_steps
from stable_diffusion.sampler_table import SamplerRow


def why_nothing_is_cached(request: Request) -> str:
    """The reason why no evaluation of a request can use what an earlier one computed.

    Returns:
        A clause; empty if one can.
    """
    passes = tuple(_passes(request))
    if all(sampler.distilled for sampler, _ in passes):
        label = passes[0][0].label
        return f"the few steps of the sampler {label} are too far apart to reuse anything"
    if all(sampler.distilled or sampler.evaluations(steps, True) < 2 for sampler, steps in passes):
        return "the network is evaluated once"
    return ""


def _passes(request: Request) -> Iterator[tuple[SamplerRow, int]]:
    """The sampler of each pass, and the steps that it executes."""
    sampler = sampler_named(request.sampler)
    assert sampler, "a request has a sampler of the table"
    steps = request.ddim_steps
    if isinstance(request, ImageToImage):
        steps = executed_steps(steps, request.denoising_strength)
    yield sampler, steps
    if isinstance(request, TextToImage) and request.has_second_pass:
        second = sampler_named(request.hires_sampler) if request.hires_sampler else None
        yield second or sampler, second_pass_steps(request)
