"""What the parameters of the sampling must satisfy together."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from jobs.errors import Fault
from jobs.parameters.types import MAX_SEED

if TYPE_CHECKING:
    from jobs.validation.rule_context import RuleContext


def _guidance_interval(context: "RuleContext") -> Iterator[Fault]:
    """Guidance cannot end before it begins."""
    request = context.request
    if request.guidance_start > request.guidance_end:
        yield _out_of_order(context, "guidance_start", "guidance_end")


def _churn_interval(context: "RuleContext") -> Iterator[Fault]:
    """The noise levels of `s_churn` are from the smallest to the largest."""
    request = context.request
    if request.s_tmax is not None and request.s_tmin > request.s_tmax:
        yield _out_of_order(context, "s_tmin", "s_tmax")


def _seeds_can_be_sent_again(context: "RuleContext") -> Iterator[Fault]:
    """The seeds of the last picture are some that a client can send."""
    images = context.image_count
    if images is None:
        return
    largest = MAX_SEED - (images - 1)
    for field in ("seed", "variation_seed"):
        value: int | None = getattr(context.request, field)
        if value is not None and value > largest:
            yield Fault(
                field=field,
                code="range",
                value=value,
                problem=f"is too large: the seed of the last of {images} pictures could not be "
                "sent",
                expected=f"an integer up to {largest}",
            )


def _out_of_order(context: "RuleContext", low: str, high: str) -> Fault:
    request = context.request
    # the one that the body names; the other may be the default
    field = low if low in context.body_fields else high
    value, bound = getattr(request, low), getattr(request, high)
    return Fault(
        field=field,
        code="range",
        value=getattr(request, field),
        problem=f"is not in order: {low} is {value:g} and {high} is {bound:g}",
        expected=f"{low} at most {high}",
    )


SAMPLING_CHECKS = (
    (
        frozenset({"seed", "variation_seed", "n_iter", "n_samples", "from-file"}),
        _seeds_can_be_sent_again,
    ),
    (frozenset({"guidance_start", "guidance_end"}), _guidance_interval),
    (frozenset({"s_tmin", "s_tmax"}), _churn_interval),
)
"""The fields that must be valid by themselves, and the check of them together."""
