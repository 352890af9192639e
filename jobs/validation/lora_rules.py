"""Whether LoRAs were made for the model of a request, as far as workers have announced it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from jobs.errors import Fault, InvalidRequest
from jobs.failures import FailureCode
from jobs.names import plain_name
from jobs.prompts.prompt_checks import LoraTags, loras_in

if TYPE_CHECKING:
    from jobs.validation.rule_context import RuleContext


def _loras_fit(context: "RuleContext") -> Iterator[Fault]:
    """The model's text embeddings have the width that each LoRA reads; a worker refuses others."""
    models, request = context.models, context.request
    field = "prompt" if request.from_file is None else "from-file"
    name = models.name_of(request.ckpt)
    own = models.unets.get(name)
    if not (context.additions and own and own.context_width):
        return
    widths = {
        tag.name: context.additions.lora_widths.get(plain_name(tag.name)) for tag in _loras(context)
    }
    for lora, width in sorted(widths.items()):
        if width in (None, own.context_width):
            continue
        fitting = [each for each, kind in models.unets.items() if kind.context_width == width]
        yield Fault(
            field="ckpt" if "ckpt" in context.varied else field,
            code=FailureCode.LORA_MISMATCH,
            value=lora[:80],
            problem=f"does not fit: the LoRA {lora[:80]!r} reads text embeddings of width {width}, "
            f"and those of the model {name!r} ({own.family}) have {own.context_width}",
            expected=f"one of the models {', '.join(sorted(fitting))}; or another LoRA"
            if fitting
            else f"a LoRA for {name}",
        )
        return


def _loras(context: "RuleContext") -> LoraTags:
    """Those of all prompts; none of prompts that cannot be read, which are faults of their own."""
    request = context.request
    try:
        drawn = [tag for prompt in context.prompts for tag in prompt.loras]
    except InvalidRequest:
        drawn = []
    return loras_in(request.prompt, request.prompt_grammar).union(drawn)


LORA_CHECKS = (
    (
        frozenset({"ckpt", "prompt", "prompt_grammar", "from-file", "wildcards"}),
        _loras_fit,
    ),
)
"""The fields that must be valid by themselves, and the check of them together."""
