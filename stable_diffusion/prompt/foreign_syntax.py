r"""Syntax of other tools that the native grammar does not know, so that it is not drawn in silence.

It stays text; a warning names each kind with its first example. An escaped bracket (`\[`) is a
plain character. `AND` between two words in capitals is a title, such as ROCK AND ROLL.
"""

import re
from collections.abc import Iterator

_ESCAPED = re.compile(r"\\.", re.DOTALL)
_INNERMOST = re.compile(r"\[([^\[\]]*+)\]")
_EDITING = re.compile(r":\s*(?:\d++(?:\.\d*+)?|\.\d++)\s*\Z")

_PROMPT_EDITING = "prompt editing"
_ALTERNATING = "alternating words"
_COMPOSITION = "a composition of prompts"
_OF_A1111 = frozenset({_PROMPT_EDITING, _ALTERNATING, _COMPOSITION})
_KINDS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\bAND\b(?!(?<=[A-Z]{2} AND) [A-Z]{2,}\b)"), _COMPOSITION),
    (re.compile(r"\{[^{}]*+\}"), "a choice of words"),
    # bounded: what ends none of many underscores would be searched from each of them
    (re.compile(r"(?<!\w)__[A-Za-z0-9][\w/.*-]{0,99}?__(?!\.?\w|\()"), "a wildcard"),
    (re.compile(r"\)\s*\.(?:blend|and|swap)\("), "a function of InvokeAI's prompts"),
    (re.compile(r"\)(?:\++|--+)(?=[\s,)]|\Z)"), "InvokeAI's emphasis"),
    (re.compile(r"\{\{[^{}]++\}\}"), "NovelAI's emphasis"),
    (re.compile(r"(?<=\w)::-?\d[\d.]*+(?!\s*\])"), "a weight of Midjourney"),
    (re.compile(r"(?<!\S)--(?:ar|v|s|q|niji|no|stylize|chaos) \S++"), "a setting of Midjourney"),
    (re.compile(r"\bSteps: \d++, Sampler: \w++"), "settings of AUTOMATIC1111, not only a prompt"),
    (re.compile(r"<(?:lora|lyco):[^<>]*+(?=<|\Z)", re.IGNORECASE), "a LoRA without its >"),
)


def foreign_syntax_warnings(text: str) -> tuple[str, ...]:
    """A sentence without its subject, the prompt, for each kind of foreign syntax in it."""
    # as long as before, so that nothing moves
    plain = _ESCAPED.sub("  ", text)
    return tuple(
        f"has {kind}, {_short(example)}, that was read as text"
        + ('; with "prompt_grammar": "a1111" it has its meaning' if kind in _OF_A1111 else "")
        for example, kind in _found(plain)
    )


def _found(text: str) -> Iterator[tuple[str, str]]:
    """The first example of each kind."""
    bodies = [match[1] for match in _INNERMOST.finditer(text)]
    for body in bodies:
        if _EDITING.search(body):
            yield f"[{body}]", _PROMPT_EDITING
            break
    for body in bodies:
        if "|" in body:
            yield f"[{body}]", _ALTERNATING
            break
    for pattern, kind in _KINDS:
        match = pattern.search(text)
        if match and (kind != "a choice of words" or "|" in match[0]):
            yield match[0].strip(), kind


def _short(example: str) -> str:
    return repr(example if len(example) <= 40 else example[:39] + "…")
