"""What the parameters of masks must satisfy together."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from jobs.errors import Fault
from jobs.limits import MAX_RESULT_SIDE
from jobs.parameters.schemas import ImageToImage
from jobs.pictures.output_formats import OUTPUT_FORMATS
from jobs.pictures.png_text import size_of

if TYPE_CHECKING:
    from jobs.validation.rule_context import RuleContext

_ADDED_TO = ("left + right", "top + bottom")
"""What `extend` adds to W and to H."""


def mask_faults(context: "RuleContext") -> Iterator[Fault]:
    """There may be one mask at most."""
    request = context.request
    if isinstance(request, ImageToImage) and request.mask_from_alpha and request.mask is not None:
        yield Fault(
            field="mask_from_alpha",
            code="two_masks",
            value=True,
            problem="is a second mask beside `mask`",
            expected="one of mask and mask_from_alpha left out",
        )


def extend_faults(context: "RuleContext") -> Iterator[Fault]:
    """No side may exceed the limit by what is added to it."""
    request = context.request
    if not isinstance(request, ImageToImage) or request.extend is None:
        return
    largest = context.limits.side(context.models.native_size(request.ckpt))
    for name, side, added in zip("WH", request.sampled_size, _ADDED_TO, strict=True):
        own = getattr(request, name)
        if side > max(largest, own):
            yield Fault(
                field="extend",
                code="range",
                value=dict(request.extend),
                problem=f"is too large: {name} with {added} is {side}",
                expected=f"{added} up to {max(0, largest - own)}, so that the side is at most "
                f"{largest}",
            )
            return


def own_size_faults(context: "RuleContext") -> Iterator[Fault]:
    """A picture that keeps its own size may be no larger than an output size."""
    request, limits = context.request, context.limits
    if not (isinstance(request, ImageToImage) and request.only_masked and request.init_img):
        return
    if request.upscale:
        yield Fault(
            field="upscale",
            code="keeps_its_size",
            value=True,
            problem="does not go with mask_area masked, where init_img keeps its size",
            expected="upscale left out, or post_upscale, or output_width and output_height",
        )
    images = (context.image_count or 0) * (context.combinations or 1)
    count = 1 if request.output_size else images
    width, height = request.result_size(size_of(request.init_img))
    if request.post_upscale:
        width, height = 2 * width, 2 * height
    longest = min(MAX_RESULT_SIDE, OUTPUT_FORMATS[request.format].max_side)
    if count * width * height > limits.max_output_pixels or max(width, height) > longest:
        of_all = f"{count} results of " if count > 1 else "a result of "
        yield Fault(
            field="init_img",
            code="too_expensive",
            value=None,
            problem=f"is too large for mask_area masked: {of_all}{width}x{height} pixels",
            expected=f"a smaller picture, or fewer: at most {limits.max_output_pixels} pixels "
            f"together and {longest} a side",
        )


_OWN_SIZE = frozenset(
    {"init_img", "mask", "mask_from_alpha", "mask_area", "extend", "upscale", "post_upscale"}
)
MASK_CHECKS = (
    (frozenset({"mask", "mask_from_alpha"}), mask_faults),
    (frozenset({"extend", "H", "W", "ckpt"}), extend_faults),
    (_OWN_SIZE | {"n_iter", "n_samples", "from-file", "vary"}, own_size_faults),
)
"""The fields of a request that must be valid by themselves, and what checks them together."""
