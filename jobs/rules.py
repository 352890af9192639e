"""What the fields of a request must satisfy together."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs.errors import Fault, InvalidRequest
from jobs.limits import Limits
from jobs.names import CONFIGS, model_named, network_kind
from jobs.prompt_files import PromptFiles
from stable_diffusion.errors import PromptError
from stable_diffusion.prompt.grammar import loras_of, read_prompt

if TYPE_CHECKING:
    from jobs.schemas import Request


@dataclass(frozen=True)
class Asked:
    """A request whose fields are right by themselves, and what it is judged by.

    Attributes:
        named: the fields its body named.
        limits: the caps.
        prompt_files: what `from-file` may name.
    """

    request: "Request"
    named: frozenset[str]
    limits: Limits
    prompt_files: PromptFiles


Check = Callable[[Asked], Fault | None]


@dataclass(frozen=True)
class Rule:
    """A check that is made once all of its fields are right by themselves."""

    fields: frozenset[str]
    check: Check


def _prompt_given(asked: Asked) -> Fault | None:
    if "prompt" in asked.named or asked.request.from_file is not None:
        return None
    return Fault(
        field="prompt", code="missing", value=None, problem="is missing", expected="a string"
    )


def _prompt_reads(field: str) -> Check:
    def check(asked: Asked) -> Fault | None:
        text: str = getattr(asked.request, field)
        try:
            read_prompt(text)
            if field == "negative_prompt" and loras_of(text):
                raise PromptError("a LoRA belongs in the prompt; with a weight below 0 to avoid it")
        except PromptError as error:
            at = error.position
            return Fault(
                field=field,
                code="bad_prompt",
                value=text[:80] if at is None else text[max(0, at - 20) : at + 60],
                problem=str(error),
                expected="words with (emphasis:1.2), [less], <lora:name:0.8>, and blends such as "
                "cat:0.3 dog:0.7",
            )
        return None

    return check


def _prompt_file_reads(asked: Asked) -> Fault | None:
    name = asked.request.from_file
    try:
        if name is not None:
            asked.prompt_files.read(name)
    except InvalidRequest as error:
        return error.faults[0]
    return None


def _side(field: str) -> Check:
    def check(asked: Asked) -> Fault | None:
        request = asked.request
        model = model_named(request.ckpt) if isinstance(request.ckpt, str) else "default"
        largest = asked.limits.side(model)
        value = getattr(request, field)
        if value <= largest:
            return None
        return Fault(
            field=field,
            code="range",
            value=value,
            problem="is too large",
            expected=f"a multiple of 8 from 64 up to {largest}",
        )

    return check


def _affordable(asked: Asked) -> Fault | None:
    request, limits = asked.request, asked.limits
    product, images = "n_iter·n_samples", request.image_count
    if request.from_file is not None:
        try:
            images *= len(asked.prompt_files.read(request.from_file))
        except InvalidRequest:
            return None  # the file's own fault is told
        product += "·prompts of the file"
    if images > limits.max_images:
        return Fault(
            field="n_iter",
            code="too_expensive",
            value=request.n_iter,
            problem=f"{product} is {images}",
            expected=f"{product} up to {limits.max_images}",
        )
    work = images * request.H * request.W * request.ddim_steps
    if work > limits.max_work:
        return Fault(
            field="ddim_steps",
            code="too_expensive",
            value=request.ddim_steps,
            problem=f"{product}·H·W·ddim_steps is {work}",
            expected=f"{product}·H·W·ddim_steps up to {limits.max_work}",
        )
    return None


def _something_to_return(asked: Asked) -> Fault | None:
    request = asked.request
    kept = not request.skip_save or not request.skip_grid
    if kept or request.return_base64 or request.synchronous_request:
        return None
    return Fault(
        field="skip_save",
        code="nothing_to_return",
        value=True,
        problem="with skip_grid, and neither return_base64 nor synchronous_request, "
        "leaves nothing to return",
        expected="one of skip_save and skip_grid false, or return_base64 true",
    )


def _config_fits(asked: Asked) -> Fault | None:
    request = asked.request
    if request.config is None or not isinstance(request.ckpt, str):
        return None
    kind = network_kind(model_named(request.ckpt))
    if kind is None or CONFIGS[request.config] == kind:
        return None
    fitting = ", ".join(config for config, described in CONFIGS.items() if described == kind)
    return Fault(
        field="config",
        code="config_mismatch",
        value=request.config,
        problem=f"does not fit {request.ckpt}",
        expected=f"one of: {fitting}",
    )


RULES: tuple[Rule, ...] = (
    Rule(frozenset({"prompt", "from-file"}), _prompt_given),
    Rule(frozenset({"prompt"}), _prompt_reads("prompt")),
    Rule(frozenset({"negative_prompt"}), _prompt_reads("negative_prompt")),
    Rule(frozenset({"from-file"}), _prompt_file_reads),
    Rule(frozenset({"H", "ckpt"}), _side("H")),
    Rule(frozenset({"W", "ckpt"}), _side("W")),
    Rule(frozenset({"n_iter", "n_samples", "H", "W", "ddim_steps", "from-file"}), _affordable),
    Rule(
        frozenset({"skip_save", "skip_grid", "return_base64", "synchronous_request"}),
        _something_to_return,
    ),
    Rule(frozenset({"config", "ckpt"}), _config_fits),
)
