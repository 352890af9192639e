"""What the fields of a request must satisfy together."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING

from jobs.errors import Fault, InvalidRequest
from jobs.limits import MIN_SIDE, SIDE_STEP, Limits
from jobs.mask_parameters import extend_faults, mask_faults
from jobs.model_choice import InstalledModels
from jobs.names import CONFIGS, model_named, network_kind
from jobs.output_parameters import OUTPUT_FIELDS, output_size_faults
from jobs.prompt_additions import InstalledAdditions
from jobs.prompt_checks import file_faults, most_joined, prompt_faults
from jobs.prompt_files import PromptFiles
from jobs.sampling_rules import SAMPLING_CHECKS
from stable_diffusion.prompt.grammar import ParsedPrompt

if TYPE_CHECKING:
    from jobs.parameters import Request


@dataclass(frozen=True)
class RuleContext:
    """A request whose fields are valid by themselves, and what the rules need beside it.

    Attributes:
        body_fields: the names of the fields that its body has.
        limits: the caps.
        models: the installed models, with their native sizes.
        prompt_files: what `from-file` may name.
        additions: the installed LoRAs, embeddings and VAEs; None: not known, so any is accepted.
    """

    request: "Request"
    body_fields: frozenset[str]
    limits: Limits
    models: InstalledModels
    prompt_files: PromptFiles
    additions: InstalledAdditions | None

    @cached_property
    def file_prompts(self) -> tuple[ParsedPrompt, ...]:
        """The prompts of the request's file, if it names one. Raises InvalidRequest."""
        name, grammar = self.request.from_file, self.request.prompt_grammar
        return () if name is None else self.prompt_files.read(name, grammar)

    @cached_property
    def image_count(self) -> int | None:
        """How many pictures the request asks for; None: the rule of its file reports a fault."""
        if self.request.from_file is None:
            return self.request.image_count
        try:
            return self.request.image_count * len(self.file_prompts)
        except InvalidRequest:
            return None


Check = Callable[[RuleContext], Iterator[Fault]]


@dataclass(frozen=True)
class Rule:
    """A check that is made once all of its fields are valid by themselves."""

    fields: frozenset[str]
    check: Check


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
        yield from prompt_faults(context.request, field, context.additions)

    return check


def _prompt_file_is_valid(context: RuleContext) -> Iterator[Fault]:
    try:
        prompts = context.file_prompts
    except InvalidRequest as error:
        yield error.faults[0]
        return
    yield from file_faults(context.request, prompts, context.additions)


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


def _affordable(context: RuleContext) -> Iterator[Fault]:
    request, limits, images = context.request, context.limits, context.image_count
    if images is None:
        return
    product = "n_iter·n_samples"
    counts = sorted(("n_iter", "n_samples"), key=lambda name: -getattr(request, name))
    if request.from_file is not None:
        product += "·prompts of the file"
    if images > limits.max_images:
        yield _too_expensive(context, counts, product, images, limits.max_images)
        return
    work = images * prod(request.sampled_size) * request.ddim_steps
    product += "·H·W·ddim_steps"
    joined = most_joined(request, context.file_prompts)
    if joined > 1:
        # guidance makes an evaluation of each prompt, and one of the negative prompt
        work, product = work * (joined + 1) // 2, f"{product}·(prompts joined by AND + 1)/2"
    if work > limits.max_work:
        factors = ["ddim_steps", *counts, "H", "W"]
        yield _too_expensive(context, factors, product, work, limits.max_work)


def _too_expensive(
    context: RuleContext, factors: Sequence[str], formula: str, product: int, cap: int
) -> Fault:
    """A product is above its cap: the fault of a factor that the body names.

    It is the first one that suffices if it alone is lowered.
    """
    request = context.request

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


def _output_size(context: RuleContext) -> Iterator[Fault]:
    if images := context.image_count:
        yield from output_size_faults(context.request, images, context.limits)


def _something_to_return(context: RuleContext) -> Iterator[Fault]:
    request = context.request
    kept = not request.skip_save or not request.skip_grid
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


def _vae_installed(context: RuleContext) -> Iterator[Fault]:
    if context.additions and context.request.vae is not None:
        yield from context.additions.vae_faults(context.request.vae)


_READING = frozenset({"prompt_grammar", "ddim_steps"})
RULES: tuple[Rule, ...] = (
    Rule(frozenset({"prompt", "from-file"}), _prompt_given),
    Rule(_READING | {"prompt"}, _prompt_is_valid("prompt")),
    Rule(_READING | {"negative_prompt"}, _prompt_is_valid("negative_prompt")),
    Rule(_READING | {"from-file"}, _prompt_file_is_valid),
    Rule(frozenset({"H", "ckpt"}), _side("H")),
    Rule(frozenset({"W", "ckpt"}), _side("W")),
    Rule(frozenset({"mask", "mask_from_alpha"}), mask_faults),
    Rule(frozenset({"extend", "H", "W", "ckpt"}), extend_faults),
    Rule(frozenset({"n_iter", "n_samples", "H", "W", "ddim_steps", "from-file"}), _affordable),
    Rule(frozenset({*OUTPUT_FIELDS, "n_iter", "n_samples", "from-file"}), _output_size),
    Rule(
        frozenset({"skip_save", "skip_grid", "return_base64", "synchronous_request"}),
        _something_to_return,
    ),
    Rule(frozenset({"config", "ckpt"}), _config_fits),
    Rule(frozenset({"vae"}), _vae_installed),
    *(Rule(fields, check) for fields, check in SAMPLING_CHECKS),
)
