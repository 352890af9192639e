"""What the fields of a request must satisfy together."""

from collections.abc import Iterator, Sequence, Set
from dataclasses import replace
from typing import TYPE_CHECKING

from jobs.errors import Fault, InvalidRequest
from jobs.limits import MIN_SIDE, SIDE_STEP, Limits
from jobs.names import CONFIGS, model_named, network_kind
from jobs.parameters.output import OUTPUT_FIELDS, output_size_faults
from jobs.prompts.lora_tags import AddedLoras
from jobs.prompts.prompt_checks import file_faults, prompt_faults
from jobs.prompts.prompt_files import FIELD
from jobs.validation.comparisons import varied_faults
from jobs.validation.cost_rules import COST_FIELDS, cost_faults
from jobs.validation.hires_rules import HIRES_CHECKS, HIRES_COST_FIELDS, hires_cost_faults
from jobs.validation.lora_rules import LORA_CHECKS
from jobs.validation.mask_rules import MASK_CHECKS
from jobs.validation.model_choice import InstalledModels
from jobs.validation.refiner_rules import REFINER_CHECKS
from jobs.validation.rule_context import Check, Rule, RuleContext
from jobs.validation.sampling_rules import SAMPLING_CHECKS

if TYPE_CHECKING:
    from jobs.parameters.schemas import Request


def expected_side(request: "Request | None", limits: Limits, models: InstalledModels) -> str:
    """The values of H and W that the model of a request allows, in words; None: of `default`."""
    largest = limits.side(models.native_size(request.ckpt if request else "default"))
    return f"a multiple of {SIDE_STEP} from {MIN_SIDE} up to {largest}"


def _prompt_given(context: RuleContext) -> Iterator[Fault]:
    if "prompt" not in context.body_fields and context.request.from_file is None:
        yield Fault(
            field="prompt", code="missing", value=None, problem="is missing", expected="a string"
        )


def _prompt_is_valid(field: str) -> Check:
    def check(context: RuleContext) -> Iterator[Fault]:
        if field == "prompt" and context.request.from_file is not None:
            return
        try:
            texts = {getattr(part, field): part for part in context.parts}
        except InvalidRequest as error:
            yield from (fault for fault in error.faults if fault.field == field)
            return
        faults = (prompt_faults(part, field, context.additions) for part in texts.values())
        yield from next((found for each in faults if (found := [*each])), ())

    return check


def _prompt_file_is_valid(context: RuleContext) -> Iterator[Fault]:
    try:
        prompts = context.prompts if context.request.from_file is not None else ()
    except InvalidRequest as error:
        yield from (fault for fault in error.faults if fault.field == FIELD)
        return
    yield from file_faults(context.request, prompts, context.additions)


def _file_alone(context: RuleContext) -> Iterator[Fault]:
    if context.combinations and context.request.from_file is not None:
        yield Fault(
            field=FIELD,
            code="not_with_vary",
            value=context.request.from_file,
            problem="cannot be combined with vary",
            expected='no file; vary can list prompts: {"prompt": ["a cat", "a dog"]}',
        )


def _own_noise(context: RuleContext) -> Iterator[Fault]:
    if context.request.wildcards and context.request.fixed_code:
        yield Fault(
            field="fixed_code",
            code="not_with_wildcards",
            value=True,
            problem="cannot be combined with wildcards, which draw by the seed of each picture",
            expected="false, or wildcards false",
        )


def _side(field: str) -> Check:
    def check(context: RuleContext) -> Iterator[Fault]:
        request, limits, models = context.request, context.limits, context.models
        value = getattr(request, field)
        if value > limits.side(models.native_size(request.ckpt)):
            yield Fault(
                field=field,
                code="range",
                value=value,
                problem="is too large",
                expected=expected_side(request, limits, models),
            )

    return check


def _output_size(context: RuleContext) -> Iterator[Fault]:
    if images := context.image_count:
        images *= context.combinations or 1
        yield from output_size_faults(context.request, images, context.limits)


def _something_to_return(context: RuleContext) -> Iterator[Fault]:
    request = context.request
    kept = not request.skip_save or not request.skip_grid or context.combinations
    if not (kept or request.return_base64 or request.synchronous_request):
        yield Fault(
            field="skip_save",
            code="nothing_to_return",
            value=True,
            problem="with skip_grid, and neither return_base64 nor synchronous_request, "
            "leaves nothing to return",
            expected="one of skip_save and skip_grid false, or return_base64 true",
        )


def _config_fits(context: RuleContext) -> Iterator[Fault]:
    request = context.request
    if request.config is None or not isinstance(request.ckpt, str):
        return
    kind = network_kind(model_named(request.ckpt))
    if kind is None or CONFIGS[request.config] == kind:
        return
    fitting = ", ".join(config for config, described in CONFIGS.items() if described == kind)
    yield Fault(
        field="config",
        code="config_mismatch",
        value=request.config,
        problem=f"does not fit {request.ckpt}",
        expected=f"one of: {fitting}",
    )


def _model_installed(context: RuleContext) -> Iterator[Fault]:
    if not context.models.names:
        return  # no worker has announced any yet
    try:
        context.models.choose(context.request.ckpt)
    except InvalidRequest as error:
        yield from error.faults


def _vae_installed(context: RuleContext) -> Iterator[Fault]:
    if context.additions and context.request.vae is not None:
        yield from context.additions.vae_faults(context.request.vae)


_READING = frozenset({"prompt_grammar", "ddim_steps", "wildcards"})
RULES: tuple[Rule, ...] = (
    Rule(frozenset({"prompt", "from-file", "vary"}), _prompt_given),
    Rule(frozenset({"from-file", "vary"}), _file_alone),
    Rule(frozenset({"wildcards", "fixed_code"}), _own_noise),
    Rule(_READING | {"prompt"}, _prompt_is_valid("prompt")),
    Rule(_READING | {"negative_prompt"}, _prompt_is_valid("negative_prompt")),
    Rule(_READING | {"from-file"}, _prompt_file_is_valid),
    Rule(frozenset({"H", "ckpt"}), _side("H")),
    Rule(frozenset({"W", "ckpt"}), _side("W")),
    Rule(frozenset({*OUTPUT_FIELDS, "n_iter", "n_samples", "from-file", "vary"}), _output_size),
    Rule(
        frozenset({"skip_save", "skip_grid", "return_base64", "synchronous_request"}),
        _something_to_return,
    ),
    Rule(frozenset({"config", "ckpt"}), _config_fits),
    Rule(frozenset({"ckpt"}), _model_installed),
    Rule(frozenset({"vae"}), _vae_installed),
    *(
        Rule(fields, check)
        for checks in (REFINER_CHECKS, LORA_CHECKS, SAMPLING_CHECKS, HIRES_CHECKS, MASK_CHECKS)
        for fields, check in checks
    ),
)


def rule_faults(
    context: RuleContext, wrong: Set[str], loras: Sequence[AddedLoras] = ()
) -> Iterator[Fault]:
    """The faults of fields together, of a request and of each combination of its `vary`.

    Args:
        context: of the whole request.
        wrong: the fields that are faulty by themselves; no rule that needs one is checked.
        loras: those that the prompts of each combination get; empty: those of the context.
    """
    request, vary = context.request, context.request.vary or {}
    combinations = request.combinations()
    contexts = [
        replace(
            context,
            request=each,
            body_fields=context.body_fields | vary.keys(),
            combinations=len(combinations) if vary else 0,
            varied=vary.keys(),
            loras=loras[number] if loras else context.loras,
        )
        for number, each in enumerate(combinations[: context.limits.max_images])
    ]
    rules = [rule for rule in RULES if wrong.isdisjoint(rule.fields)]
    found = [[fault for rule in rules for fault in rule.check(each)] for each in contexts]
    yield from varied_faults(vary, found)
    if wrong.isdisjoint(COST_FIELDS):
        yield from cost_faults(contexts, len(combinations))
    if wrong.isdisjoint(HIRES_COST_FIELDS) and len(contexts) == len(combinations):
        yield from hires_cost_faults(contexts)
