"""May a request have as many pictures, and as much work, as it asks for?"""

from collections.abc import Iterator, Sequence
from math import prod
from typing import TYPE_CHECKING

from jobs.errors import Fault, InvalidRequest
from jobs.limits import MIN_SIDE, SIDE_STEP
from jobs.prompts.prompt_checks import most_joined

if TYPE_CHECKING:
    from jobs.validation.rule_context import RuleContext

COST_FIELDS = frozenset(
    {"n_iter", "n_samples", "H", "W", "ddim_steps", "from-file", "vary", "ckpt", "refiner"}
)
"""The fields that must be valid by themselves."""


def cost_faults(contexts: "Sequence[RuleContext]", combinations: int) -> Iterator[Fault]:
    """The fault of a request that is too expensive.

    Args:
        contexts: one for each combination of its `vary`, or for the first `max_images`.
        combinations: how many there are.
    """
    context = contexts[0]
    request, limits, images = context.request, context.limits, context.image_count
    if images is None:
        return
    images *= combinations
    varied = context.combinations
    product = "combinations of vary·n_iter·n_samples" if varied else "n_iter·n_samples"
    counts = sorted(("n_iter", "n_samples"), key=lambda name: -getattr(request, name))
    if request.from_file is not None:
        product += "·prompts of the file"
    if images > limits.max_images:
        yield _too_expensive(contexts, counts, product, images, limits.max_images)
        return
    product += "·H·W·ddim_steps"
    try:
        joined = [most_joined(each.request, each.prompts) for each in contexts]
    except InvalidRequest:
        return  # a fault of the prompts
    if max(joined) > 1:
        product += "·(prompts joined by AND + 1)/2"
    if (costs := {*map(model_cost, contexts)}) != {1}:
        cost = f"{costs.pop():g} for the model" if len(costs) == 1 else "cost of the model"
        product += f"·{cost}"
    work = sum(map(_work, contexts, joined))
    if work > limits.max_work:
        factors = ["ddim_steps", *counts, "H", "W"]
        yield _too_expensive(contexts, factors, product, work, limits.max_work)


def _work(context: "RuleContext", joined: int) -> int:
    """Of one combination; guidance makes an evaluation of each prompt, and one of the negative."""
    request = context.request
    images = context.image_count or 0
    pixel_steps = images * prod(request.sampled_size) * request.ddim_steps * (joined + 1) // 2
    return round(pixel_steps * model_cost(context))


def model_cost(context: "RuleContext") -> float:
    """That of its model, or of its refiner if that costs more."""
    named = filter(None, (context.request.ckpt, context.request.refiner_ckpt))
    return max(map(context.models.cost, named))


def _too_expensive(
    contexts: "Sequence[RuleContext]", factors: Sequence[str], formula: str, product: int, cap: int
) -> Fault:
    """A product is above its cap: the fault of a factor that the body names.

    It is the first one that suffices if it alone is lowered; of several combinations, `vary`.
    """
    context, request = contexts[0], contexts[0].request
    if context.combinations:
        return Fault(
            field="vary",
            code="too_expensive",
            value=context.combinations,
            problem=f"has too many combinations: {formula} is {product}",
            expected=f"fewer values, so that {formula} is at most {cap}",
        )

    def largest(name: str) -> int:
        step = SIDE_STEP if name in ("H", "W") else 1
        return cap * getattr(request, name) // product // step * step

    def suffices(name: str) -> bool:
        return largest(name) >= (MIN_SIDE if name in ("H", "W") else 1)

    named = [name for name in factors if name in context.body_fields] or factors
    field = next((name for name in named if suffices(name)), named[0])
    alone = f"{field} up to {largest(field)}, so that " if suffices(field) else ""
    return Fault(
        field=field,
        code="too_expensive",
        value=getattr(request, field),
        problem=f"is too large: {formula} is {product}",
        expected=f"{alone}{formula} is at most {cap}",
    )
