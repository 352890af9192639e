"""LoRAs that a prompt gets besides its own, each given as `name` or `name:weight`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from jobs.names import plain_name
from jobs.parameters.prompt import PromptGrammar
from jobs.prompts.prompt_checks import LoraTags, loras_in

if TYPE_CHECKING:
    from jobs.parameters.generation import GenerationRequest

_Request = TypeVar("_Request", bound="GenerationRequest")


def lora_name(lora: str) -> str:
    """The name of a LoRA, as it is compared."""
    return plain_name(lora.partition(":")[0])


def with_loras(prompt: str, loras: Sequence[str]) -> str:
    """A prompt that names these LoRAs as well."""
    if not loras:
        return prompt
    tags = [f"<lora:{lora_name(each)}:{each.partition(':')[2] or '1'}>" for each in loras]
    # "#" may begin a comment, which ends with its line
    separator = "\n" if "#" in prompt.rpartition("\n")[2] else " "
    return separator.join([prompt, " ".join(tags)]).strip()


@dataclass(frozen=True)
class AddedLoras:
    """LoRAs that each prompt of a request gets, unless it names them itself.

    Attributes:
        loras: each a name or `name:weight`.
        canonical: the names of installed LoRAs, by each of their names.
    """

    loras: tuple[str, ...] = ()
    canonical: Mapping[str, str] = field(default_factory=dict[str, str])

    def to(self, prompt: str, grammar: PromptGrammar = "native") -> str:
        """A prompt that names them."""
        if not self.loras:
            return prompt
        own = {self._canonical(plain_name(tag.name)) for tag in loras_in(prompt, grammar)}
        added = [each for each in self.loras if self._canonical(lora_name(each)) not in own]
        return with_loras(prompt, added)

    def to_request(self, request: _Request) -> _Request:
        """A request whose own prompts name them; drawn ones get them once they are drawn."""
        if not self.loras or request.wildcards or request.from_file is not None:
            return request
        grammar = request.prompt_grammar
        update: dict[str, Any] = {"prompt": self.to(request.prompt, grammar)}
        if request.vary and "prompt" in request.vary:
            texts = [self.to(str(text), grammar) for text in request.vary["prompt"]]
            update["vary"] = {**request.vary, "prompt": texts}
        return request.model_copy(update=update)

    @property
    def tags(self) -> LoraTags:
        """What a prompt gets that names none of them."""
        return loras_in(self.to(""), "native")

    def _canonical(self, name: str) -> str:
        return self.canonical.get(name, name)


NO_LORAS = AddedLoras()
