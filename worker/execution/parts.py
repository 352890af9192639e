"""A job of several prompts, as one part for each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs.request import Request

if TYPE_CHECKING:
    from stable_diffusion.recipe import Recipe


@dataclass(frozen=True)
class Part:
    """What is drawn of one prompt: the request as if it had asked for nothing else."""

    request: Request
    recipe: "Recipe"


def requests_of(request: Request, prompts: Sequence[str]) -> tuple[Request, ...]:
    """A settled request as one for each prompt; seeds go on counting from one to the next."""
    assert request.seed is not None, "a request is settled before it becomes a job"
    first = request.seed
    return tuple(
        request.model_copy(update={"prompt": prompt, "seed": first + number * request.image_count})
        for number, prompt in enumerate(prompts)
    )


def frugal(request: Request) -> Request:
    """The request as the type `optimized` draws it when memory is dear: one latent at a time."""
    return request.model_copy(update={"type": "optimized", "turbo": False, "unet_bs": 1})
