"""The examples as a `.http` file, which editors send from: VS Code, JetBrains, Visual Studio."""

import re
from collections.abc import Iterable

from docs.examples import VARIABLES, Example

HEADER = """\
# Requests to the Stable Diffusion service, to be sent from an editor. Written by `make docs`.
# Set these; job_id is the task_id that a request to /generate or /img2img is answered with.
"""
_PART = re.compile(r"\{(\w+)\}")


def http_file(examples: Iterable[Example]) -> str:
    """The file's text."""
    variables = "".join(f"@{name} = {value}\n" for name, value in VARIABLES.items())
    return HEADER + variables + "".join(f"\n{_request(example)}" for example in examples)


def _request(example: Example) -> str:
    path = _PART.sub(lambda part: example.parts[part[1]], example.path)
    lines = [f"### {example.name}", f"# {example.summary}"]
    lines += [f"# {one.where} {one.name}, if wanted: {one.means}" for one in example.optional]
    lines.append(f"{example.method} {{{{address}}}}{path}")
    if example.key:
        lines.append("X-API-Key: {{api_key}}")
    if example.body is not None:
        lines += ["Content-Type: application/json", "", example.text]
    return "\n".join(lines) + "\n"
