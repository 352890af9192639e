"""What the models of a request must satisfy, as far as workers have announced what they are."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from jobs.errors import Fault, InvalidRequest
from jobs.parameters.schemas import ImageToImage
from jobs.validation.validation_faults import safe_value
from stable_diffusion.unet_kind import refiner_misfit

if TYPE_CHECKING:
    from jobs.validation.rule_context import RuleContext


def _refiner_fits(context: "RuleContext") -> Iterator[Fault]:
    """The second model is installed, and can go on with what the first one samples."""
    models, written = context.models, context.request.refiner_ckpt
    if written is None:
        return
    try:
        refiner = models.choose(written).name
    except InvalidRequest as error:
        yield from (replace(fault, field="refiner") for fault in error.faults)
        return
    name = models.name_of(context.request.ckpt)
    own, other = models.unets.get(name), models.unets.get(refiner)
    problem = models.problems.get(refiner, "")
    if problem:
        problem = f"cannot be used: {problem}"
    elif own and other:
        problem = refiner_misfit(name, own, other)
    if problem:
        fitting = [
            each
            for each, kind in sorted(models.unets.items())
            if own and not refiner_misfit(name, own, kind)
        ]
        yield Fault(
            field="refiner",
            code="refiner_mismatch",
            value=safe_value("refiner", written),
            problem=problem,
            expected=f"one of: {', '.join(fitting)}; or the field left out"
            if fitting
            else "the field left out",
        )


def _init_image_given(context: "RuleContext") -> Iterator[Fault]:
    """A model that can only change an image gets one."""
    models, request = context.models, context.request
    kind = models.unets.get(models.name_of(request.ckpt))
    if kind and kind.needs_image and not isinstance(request, ImageToImage):
        yield Fault(
            field="ckpt",
            code="needs_init_image",
            value=safe_value("ckpt", request.ckpt),
            problem="changes an image by an instruction, and the request has none",
            expected="img2img with an init image, or another model",
        )


REFINER_CHECKS = (
    (frozenset({"refiner", "ckpt"}), _refiner_fits),
    (frozenset({"ckpt"}), _init_image_given),
)
"""The fields that must be valid by themselves, and the check of them together."""
