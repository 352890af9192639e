"""What the rules of a request read."""

from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from jobs.errors import Fault, InvalidRequest
from jobs.limits import Limits
from jobs.prompts.lora_tags import NO_LORAS, AddedLoras
from jobs.prompts.parts import drawn_parts
from jobs.prompts.prompt_additions import InstalledAdditions
from jobs.prompts.prompt_checks import read_drawn
from jobs.prompts.prompt_files import FIELD, PromptFiles
from jobs.prompts.wildcards import Wildcards
from jobs.validation.model_choice import InstalledModels
from stable_diffusion.prompt.grammar import ParsedPrompt

if TYPE_CHECKING:
    from jobs.parameters.schemas import Request


@dataclass(frozen=True)
class RuleContext:
    """A request whose fields are valid by themselves, and what the rules need beside it.

    Attributes:
        body_fields: the names of the fields that its body has.
        limits: the caps.
        models: the installed models, with their native sizes.
        prompt_files: what `from-file` may name.
        additions: the installed LoRAs, embeddings and VAEs; None: not known, so any is accepted.
        wildcards: draws the prompts, if the request has `wildcards`.
        loras: what the prompts of its file, and those that are drawn, get besides.
        combinations: how many `vary` makes, of which the request is one; 0: it has no `vary`.
        varied: the fields of its `vary`.
    """

    request: "Request"
    body_fields: frozenset[str]
    limits: Limits
    models: InstalledModels
    prompt_files: PromptFiles
    additions: InstalledAdditions | None
    wildcards: Wildcards
    loras: AddedLoras = NO_LORAS
    combinations: int = 0
    varied: Set[str] = frozenset()

    @cached_property
    def lines(self) -> tuple[str, ...]:
        """The prompts of the request's file as they are written. Raises InvalidRequest."""
        name = self.request.from_file
        return () if name is None else self.prompt_files.lines(name)

    @cached_property
    def parts(self) -> "tuple[Request, ...]":
        """With wildcards, the request of each picture with its own texts; else the request.

        Raises InvalidRequest.
        """
        if not self.request.wildcards:
            return (self.request,)
        if self.image_count is None or self.image_count > self.limits.max_images:
            return ()  # a fault of its own
        return drawn_parts(self.request, self.lines, self.wildcards, (self.loras,))

    @cached_property
    def prompts(self) -> tuple[ParsedPrompt, ...]:
        """The prompts of its file or of its wildcards; none if it has neither.

        Raises InvalidRequest.
        """
        request = self.request
        if request.wildcards:
            return read_drawn(self.parts, FIELD if request.from_file else "prompt")
        if request.from_file is None:
            return ()
        return self.prompt_files.read(request.from_file, request.prompt_grammar, self.loras)

    @cached_property
    def image_count(self) -> int | None:
        """How many pictures the request asks for; None: the rule of its file reports a fault."""
        if self.request.from_file is None:
            return self.request.image_count
        try:
            lines = self.lines if self.request.wildcards else self.prompts
            return self.request.image_count * len(lines)
        except InvalidRequest:
            return None


Check = Callable[[RuleContext], Iterator[Fault]]


@dataclass(frozen=True)
class Rule:
    """A check that is made once all of its fields are valid by themselves."""

    fields: frozenset[str]
    check: Check
