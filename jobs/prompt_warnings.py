"""What the answer to a request says about how its prompts were read."""

from collections.abc import Sequence

from jobs.request import Request
from stable_diffusion.prompt.grammar import ParsedPrompt, read_prompt

_MOST_LINES = 5


def prompt_warnings(request: Request, file_prompts: Sequence[ParsedPrompt]) -> tuple[str, ...]:
    """A sentence for each blend, and for each syntax that stays text, of a valid request.

    Args:
        request: its `negative_prompt` is read, and its `prompt` unless a file replaces it.
        file_prompts: those of its prompt file, of which the first few with warnings are named.
    """
    fields = [("negative_prompt", request.negative_prompt)]
    if not file_prompts:
        fields.insert(0, ("prompt", request.prompt))
    found = [f"{field}: it {each}" for field, text in fields for each in read_prompt(text).warnings]
    of_lines = [
        f"from-file: {prompt.text[:40]!r} {each}"
        for prompt in file_prompts
        for each in prompt.warnings
    ]
    if len(of_lines) > _MOST_LINES:
        more = len(of_lines) - _MOST_LINES
        of_lines[_MOST_LINES:] = [f"from-file: {more} more such warnings"]
    return (*found, *of_lines)
