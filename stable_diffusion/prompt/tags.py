r"""Tags: `<lora:name:0.8>` adds a LoRA; `<name>` and `embedding:name` are an embedding's token.

A LoRA's tag is AUTOMATIC1111's: after the name come the weight for the text encoder, the one for
the UNet (else the same) and `dyn`, each also by name (`te=`, `unet=`, `dyn=`), and `lyco` is
another word for `lora`. Source: its `extra_networks_lora.py`.

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
    | <(?P<name>[A-Za-z0-9][\w./-]*[A-Za-z0-9])>
    | (?<![\w:])embedding:(?P<prefixed>[A-Za-z0-9](?:[\w./-]*[\w])?)
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_FILE_SUFFIX = re.compile(r"\.(?:pt|bin|safetensors)\Z")


@dataclass(frozen=True)
class LoraTag:
    """A LoRA of a prompt and its weight; a negative one subtracts it.

    Attributes:
        weight: for the text encoder.
        own_unet_weight: for the UNet; None: the same.
    """

    name: str
    weight: float = 1.0
    own_unet_weight: float | None = None

    @property
    def unet_weight(self) -> float:
        """For the UNet."""
        return self.weight if self.own_unet_weight is None else self.own_unet_weight


def loras_of(text: str) -> tuple[LoraTag, ...]:
    """The LoRAs that a prompt names, in order of their names, each once with its weights added up.

    Raises:
        PromptError: a tag that cannot be parsed.
    """
    weights: dict[str, tuple[float, float]] = {}
    for tag in _TAG.finditer(text):
        if tag["kind"]:
            lora = _lora(tag)
            text_weight, unet = weights.get(lora.name, (0.0, 0.0))
            weights[lora.name] = (text_weight + lora.weight, unet + lora.unet_weight)
    return tuple(_with_weights(name, *weights[name]) for name in sorted(weights))


def tag_warnings(text: str) -> tuple[str, ...]:
    """A sentence without its subject, the prompt, for each entry of a tag that has no effect."""
    return tuple(
        f"has {f'{name}=' if name else ''}{value} in {tag.group()[:60]!r}, which has no effect"
        for tag in _TAG.finditer(text)
        if tag["kind"]
        for name, value in _entries(tag)[1]
    )


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
    if tag["kind"].lower() not in ("lora", "lyco"):
        raise PromptError(
            f"{tag.group()[:40]!r} at position {position} is no tag that is known; "
            "known is <lora:name:weight>",
            position,
        )
    name, *_ = (part.strip() for part in tag["rest"].split(":"))
    if not name:
        raise PromptError(f"the LoRA at position {position} has no name", position)
    entries, _ = _entries(tag)
    text = _weight(entries.get("te", ""), 1.0, name, position)
    return _with_weights(name, text, _weight(entries.get("unet", ""), text, name, position))


def _entries(tag: re.Match[str]) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """The weights of a LoRA's tag as they were written, and the entries that have no effect."""
    weights: dict[str, str] = {}
    others: list[tuple[str, str]] = []
    positional = iter(("te", "unet"))
    for entry in tag["rest"].split(":")[1:]:
        name, equals, value = (part.strip() for part in entry.partition("="))
        if not equals:
            name, value = next(positional, ""), name
        if name in ("te", "unet"):
            # a name precedes a position, wherever it stands
            if equals or name not in weights:
                weights[name] = value
        elif value:
            others.append((name, value))
    return weights, others


def _with_weights(name: str, text: float, unet: float) -> LoraTag:
    return LoraTag(name, text, None if unet == text else unet)


def _weight(written: str, default: float, name: str, position: int) -> float:
    try:
        value = float(written) if written else default
    except ValueError:
        value = float("nan")
    if not abs(value) <= LARGEST_LORA_WEIGHT:
        raise PromptError(
            f"the weight {written[:40]!r} of the LoRA {name[:40]!r} at position {position} is not "
            f"a number from -{LARGEST_LORA_WEIGHT:g} to {LARGEST_LORA_WEIGHT:g}",
            position,
        )
    return value
