"""What the parameters of a second pass must satisfy, with each other and with the first pass."""

from collections.abc import Iterator, Sequence
from math import prod
from typing import TYPE_CHECKING, NamedTuple, cast

from jobs.errors import Fault, InvalidRequest
from jobs.limits import MAX_SIDE, MIN_SIDE
from jobs.names import sampler_named
from jobs.parameters.hires import HIRES_OPTIONS, HIRES_SIZE, HiresParameters
from jobs.prompts.prompt_checks import LoraTags, loras_in, most_joined, prompt_faults
from jobs.validation.cost_rules import model_cost
from stable_diffusion.bounds import executed_steps

if TYPE_CHECKING:
    from jobs.parameters.schemas import Request, TextToImage
    from jobs.validation.rule_context import Check, RuleContext


def hires_warnings(request: "Request", added: LoraTags = frozenset()) -> tuple[str, ...]:
    """A sentence for the parameters of a second pass that have no effect on a valid request.

    Args:
        added: LoRAs that its prompt has got, which the user did not name.
    """
    if not isinstance(request, HiresParameters):
        return ()
    fields = type(request).model_fields
    changed = [name for name in HIRES_OPTIONS if getattr(request, name) != fields[name].default]
    if changed and not request.has_second_pass:
        return (f"{', '.join(changed)}: without hires_scale or hires_width, no effect",)
    found: list[str] = []
    sampler = sampler_named(request.hires_sampler or request.sampler)
    if request.hires_scheduler and sampler and "scheduler" not in sampler.takes:
        found.append(f"hires_scheduler: the sampler {sampler.label} does not take it; no effect")
    grammar = request.prompt_grammar
    named = loras_in(request.prompt, grammar) - added
    if request.hires_prompt and named - loras_in(request.hires_prompt, grammar):
        found.append("hires_prompt: the second pass has the LoRAs of the prompt, too")
    return tuple(found)


def second_pass_steps(request: "TextToImage") -> int:
    """How many steps the second pass of a request executes."""
    return executed_steps(request.hires_steps or request.ddim_steps, request.hires_strength)


def _second_pass(context: "RuleContext") -> "TextToImage | None":
    request = context.request
    has_one = isinstance(request, HiresParameters) and request.has_second_pass
    return cast("TextToImage", request) if has_one else None


def _one_size(context: "RuleContext") -> Iterator[Fault]:
    """The size is given in one way, and possible."""
    request = _second_pass(context)
    if request is None:
        return
    named = [field for field in HIRES_SIZE if getattr(request, field) is not None]
    if named[0] == "hires_scale" and len(named) > 1:
        yield Fault(
            field="hires_scale",
            code="two_sizes",
            value=request.hires_scale,
            problem=f"is a second size beside {' and '.join(named[1:])}",
            expected="hires_scale, or hires_width and hires_height; the other left out",
        )
        return
    size = request.generated_size
    shown, most = "{}x{}".format(*size), context.limits.max_hires_pixels
    if min(size) < MIN_SIDE or max(size) > MAX_SIDE:
        code, problem = "range", f"gives {shown} pixels"
        expected = f"sides from {MIN_SIDE} up to {MAX_SIDE} pixels"
    elif prod(size) > most:
        code = "too_expensive"
        problem = f"is too large: {shown} pixels are {prod(size)} pixels"
        expected = f"a second pass of at most {most} pixels"
    else:
        return
    yield Fault(
        field=named[0],
        code=code,
        value=getattr(request, named[0]),
        problem=problem,
        expected=expected,
    )


def hires_cost_faults(contexts: "Sequence[RuleContext]") -> Iterator[Fault]:
    """Both passes together are within the limit; the first alone is `jobs.validation.cost_rules`.

    Args:
        contexts: one for each combination of `vary`.
    """
    context, most = contexts[0], contexts[0].limits.max_work
    works = [work for each in contexts if (work := _work_of_passes(each))]
    first, second = sum(work.first for work in works), sum(work.second for work in works)
    if first > most or first + second <= most:
        return
    request = cast("TextToImage", context.request)
    fields = ("hires_prompt",) if any(work.more_prompts for work in works) else ()
    fields = (*fields, "hires_steps", *HIRES_SIZE)
    named = [field for field in fields if field in context.body_fields]
    field = next((field for field in named if getattr(request, field)), named[0])
    varied = not context.varied.isdisjoint(named)
    yield Fault(
        field="vary" if varied else field,
        code="too_expensive",
        value=context.combinations if varied else getattr(request, field),
        problem="is too large: images·width·height·steps·cost of the model of both passes are "
        f"{first + second}, {second} of them of the second",
        expected=f"at most {most} together: fewer hires_steps, a smaller second pass, fewer images",
    )


class _Work(NamedTuple):
    """That of both passes, and whether the second joins more prompts."""

    first: int
    second: int
    more_prompts: bool


def _work_of_passes(context: "RuleContext") -> _Work | None:
    """None: there is no second pass, or a fault of another field."""
    request, images = _second_pass(context), context.image_count
    if request is None or images is None:
        return None
    try:
        joined = most_joined(request, context.prompts)
        again = _joined_again(context) or joined
    except InvalidRequest:
        return None  # a fault of the prompts
    share = images * model_cost(context) / 2
    return _Work(
        int(share * (joined + 1) * prod(request.sampled_size) * request.ddim_steps),
        int(share * (again + 1) * prod(request.generated_size) * second_pass_steps(request)),
        again > joined,
    )


def _joined_again(context: "RuleContext") -> int:
    """The most prompts that AND joins in the second pass; 0: it has those of the first.

    Raises InvalidRequest.
    """
    texts = {part.hires_prompt for part in _parts(context)} - {""}
    request = context.request
    return max(
        (most_joined(request.model_copy(update={"prompt": text}), ()) for text in texts), default=0
    )


def _prompt_is_valid(field: str) -> "Check":
    def check(context: "RuleContext") -> Iterator[Fault]:
        request = _second_pass(context)
        if request is None or not getattr(request, field):
            return
        steps = second_pass_steps(request)
        try:
            texts = {getattr(part, field): part for part in _parts(context)}
        except InvalidRequest as error:
            yield from (fault for fault in error.faults if fault.field == field)
            return
        for part in texts.values():
            if faults := tuple(prompt_faults(part, field, context.additions, steps=steps)):
                yield from faults
                return
        if field == "hires_prompt":
            yield from _lora_faults(context)

    return check


def _parts(context: "RuleContext") -> "tuple[TextToImage, ...]":
    """The parts of a request with a second pass, with the texts that are drawn for them.

    Raises InvalidRequest.
    """
    return cast("tuple[TextToImage, ...]", context.parts or (context.request,))


def _lora_faults(context: "RuleContext") -> Iterator[Fault]:
    """The model has its LoRAs in both passes."""
    parts, grammar = _parts(context), context.request.prompt_grammar
    pairs = [(part.hires_prompt, part.prompt) for part in parts]
    if context.request.from_file is not None and not context.request.wildcards:
        try:
            pairs = [(parts[0].hires_prompt, each.text) for each in context.prompts]
        except InvalidRequest:
            return  # a fault of the prompts
    for hires_prompt, prompt in dict.fromkeys(pairs):
        more = loras_in(hires_prompt, grammar) - loras_in(prompt, grammar)
        if more:
            tag = min(more, key=lambda tag: tag.name)
            yield Fault(
                field="hires_prompt",
                code="bad_prompt",
                value=tag.name[:80],
                problem=f"names the LoRA {tag.name[:80]!r}, which the prompt does not have so",
                expected="the LoRAs of the prompt with the same weights, or none: they are in "
                "effect in both passes",
            )
            return


_SIZE = frozenset({*HIRES_SIZE, "W", "H"})
_STEPS = frozenset({"hires_steps", "hires_strength", "ddim_steps"})
HIRES_COST_FIELDS = frozenset(
    {*_SIZE, *_STEPS, "n_iter", "n_samples", "from-file", "vary", "hires_prompt", "ckpt", "refiner"}
)
"""The fields that must be valid by themselves for `hires_cost_faults`."""
HIRES_CHECKS = (
    (_SIZE, _one_size),
    (
        _STEPS | {"prompt_grammar", "prompt", "hires_prompt", "from-file", "wildcards"},
        _prompt_is_valid("hires_prompt"),
    ),
    (
        _STEPS | {"prompt_grammar", "hires_negative_prompt", "wildcards"},
        _prompt_is_valid("hires_negative_prompt"),
    ),
)
"""The fields that must be valid by themselves, and the check of them together."""
