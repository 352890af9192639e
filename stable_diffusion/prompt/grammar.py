"""A prompt's three grammars together: tags, parts of a blend, and the emphasis within each.

Light on purpose (no torch, no tokenizer): whoever takes prompts in can refuse one that cannot be
read before anything heavy has started.
"""

from stable_diffusion.prompt.blend import BlendPart, parse_blend
from stable_diffusion.prompt.emphasis import Break, Run, parse_emphasis
from stable_diffusion.prompt.tags import LoraTag, loras_of, tokens_of, without_loras

__all__ = ["LoraTag", "Reading", "loras_of", "read_prompt", "tokens_of"]

Reading = tuple[BlendPart, tuple[Run | Break, ...]]


def read_prompt(text: str) -> tuple[Reading, ...]:
    """The prompt's parts, each with its runs; its LoRAs are no part of them.

    Raises:
        PromptError: it cannot be read; `position` counts from the prompt's first character.
    """
    return tuple(
        (part, parse_emphasis(part.text, offset=part.start))
        for part in parse_blend(without_loras(text))
    )
