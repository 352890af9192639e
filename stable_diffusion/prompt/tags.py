r"""Tags: `<lora:name:0.8>` adds a LoRA; `<name>` and `embedding:name` are an embedding's token.

An embedding is also found by its bare name; in angle brackets, or after `embedding:` as ComfyUI
writes it, it cannot be mistaken for a word, so one that is not installed can be refused. `\<` is a
plain character. Pure text, like the rest of the grammar.
"""

import re
from dataclasses import dataclass

from stable_diffusion.errors import PromptError

LARGEST_LORA_WEIGHT = 10.0

_TAG = re.compile(
    r"""
      \\.                                                # an escaped character
    | <(?P<kind>[A-Za-z]+):(?P<rest>[^<>]*)>
    | <(?P<name>[A-Za-z0-9][\w.-]*[A-Za-z0-9])>
    | (?<![\w:])embedding:(?P<prefixed>[A-Za-z0-9](?:[\w.-]*[\w])?)
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_FILE_SUFFIX = re.compile(r"\.(?:pt|bin|safetensors)\Z")


@dataclass(frozen=True)
class LoraTag:
    """A LoRA of a prompt and its weight; a negative one subtracts it."""

    name: str
    weight: float = 1.0


def loras_of(text: str) -> tuple[LoraTag, ...]:
    """The LoRAs that a prompt names, in order of their names, each once with its weights added up.

    Raises:
        PromptError: a tag that cannot be parsed.
    """
    weights: dict[str, float] = {}
    for tag in _TAG.finditer(text):
        if tag["kind"]:
            lora = _lora(tag)
            weights[lora.name] = weights.get(lora.name, 0.0) + lora.weight
    return tuple(LoraTag(name, weights[name]) for name in sorted(weights))


def tokens_of(text: str) -> tuple[str, ...]:
    """The embeddings that a prompt names in angle brackets or after `embedding:`."""
    return tuple(
        tag["name"] or _FILE_SUFFIX.sub("", tag["prefixed"])
        for tag in _TAG.finditer(text)
        if tag["name"] or tag["prefixed"]
    )


def without_loras(text: str) -> str:
    """The prompt with spaces in place of its LoRAs: every other character keeps its position.

    Raises:
        PromptError: a tag that cannot be parsed.
    """

    def blank(tag: re.Match[str]) -> str:
        if not tag["kind"]:
            return tag.group()
        _lora(tag)
        return " " * len(tag.group())

    return _TAG.sub(blank, text)


def _lora(tag: re.Match[str]) -> LoraTag:
    position = tag.start()
    if tag["kind"].lower() != "lora":
        raise PromptError(
            f"{tag.group()[:40]!r} at position {position} is no tag that is known; "
            "known is <lora:name:weight>",
            position,
        )
    name, _, weight = (part.strip() for part in tag["rest"].partition(":"))
    if not name:
        raise PromptError(f"the LoRA at position {position} has no name", position)
    try:
        value = float(weight) if weight else 1.0
    except ValueError:
        value = float("nan")
    if not abs(value) <= LARGEST_LORA_WEIGHT:
        raise PromptError(
            f"the weight {weight[:40]!r} of the LoRA {name[:40]!r} at position {position} is not a "
            f"number from -{LARGEST_LORA_WEIGHT:g} to {LARGEST_LORA_WEIGHT:g}",
            position,
        )
    return LoraTag(name, value)
