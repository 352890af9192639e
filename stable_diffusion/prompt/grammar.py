"""A prompt's two grammars together: parts of a blend, and the emphasis within each.

Light on purpose (no torch, no tokenizer): whoever takes prompts in can refuse one that cannot be
read before anything heavy has started.
"""

from stable_diffusion.prompt.blend import BlendPart, parse_blend
from stable_diffusion.prompt.emphasis import Break, Run, parse_emphasis

Reading = tuple[BlendPart, tuple[Run | Break, ...]]


def read_prompt(text: str) -> tuple[Reading, ...]:
    """The prompt's parts, each with its runs.

    Raises:
        PromptError: it cannot be read; `position` counts from the prompt's first character.
    """
    return tuple((part, parse_emphasis(part.text, offset=part.start)) for part in parse_blend(text))
