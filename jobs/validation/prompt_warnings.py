"""What the answer to a request says about how its prompts were read."""

from collections.abc import Sequence

from jobs.validation.request import Request, TextToImage
from stable_diffusion.prompt.grammar import ParsedPrompt, PromptGrammar, read_prompt

_MOST_LINES = 5


def prompt_warnings(parts: Sequence[Request], *, own: bool) -> tuple[str, ...]:
    """A sentence for each blend, and for each syntax that stays text, of a valid request.

    Args:
        parts: of the request, with the texts that they read.
        own: whether `prompt` is read, and not a file.
    """
    fields = ("prompt", "negative_prompt") if own else ("negative_prompt",)
    texts: dict[tuple[str, str, PromptGrammar], None] = dict.fromkeys(
        (field, getattr(part, field), part.prompt_grammar)
        for part in parts
        for field in (*fields, *_of_second_pass(part))
    )
    found = [
        f"{field}: it {each}"
        for field, text, grammar in texts
        for each in read_prompt(text, grammar, negative=field.endswith("negative_prompt")).warnings
    ]
    return tuple(dict.fromkeys(found))


def file_warnings(prompts: Sequence[ParsedPrompt]) -> tuple[str, ...]:
    """The same for the prompts of a file, of which the first few with warnings are named."""
    of_lines = [
        f"from-file: {prompt.text[:40]!r} {each}" for prompt in prompts for each in prompt.warnings
    ]
    if len(of_lines) > _MOST_LINES:
        more = len(of_lines) - _MOST_LINES
        of_lines[_MOST_LINES:] = [f"from-file: {more} more such warnings"]
    return tuple(of_lines)


def _of_second_pass(request: Request) -> tuple[str, ...]:
    if isinstance(request, TextToImage) and request.has_second_pass:
        return "hires_prompt", "hires_negative_prompt"
    return ()
