r"""Comments and escapes as AUTOMATIC1111 has them, where the native grammar differs.

A `#` and the rest of its line are left out of a prompt (its setting `enable_prompt_comments`, on by
default). Only brackets and the backslash itself can be escaped; before any other character a
backslash disappears. Source: its `processing_scripts/comments.py` and `parse_prompt_attention`.
"""

import re

_COMMENT = re.compile(r"#[^\n]*")
_BACKSLASH = re.compile(r"(\\[\\()\[\]])|\\")


def without_comments(text: str) -> str:
    """The prompt with spaces in place of its comments: other characters keep their positions."""
    return _COMMENT.sub(lambda comment: " " * len(comment.group()), text)


def comment_warnings(text: str) -> tuple[str, ...]:
    """A sentence without its subject, the prompt, if it has a comment."""
    comment = _COMMENT.search(text)
    if comment is None:
        return ()
    return (f"has a comment, {comment.group()[:40]!r}, that was left out",)


def unescaped(text: str) -> str:
    """The text without the backslashes that escape nothing."""
    return _BACKSLASH.sub(lambda match: match[1] or "", text)
