"""Write what follows from the code: `make docs`. The tables of README.md, .env.example, and the
requests of docs/clients/.

A table stands in the README between `<!-- name -->` and `<!-- /name -->`; a test finds out when it
is no longer what the code says.
"""

import json
import re
from pathlib import Path
from typing import Any

from pydantic_settings import BaseSettings

from api.settings import ApiSettings
from docs.compose_variables import ComposeVariables
from docs.examples import examples, openapi
from docs.http_file import http_file
from docs.postman import collection
from jobs.faults import expected_of
from jobs.names import SAMPLERS
from jobs.schemas import SCHEMAS, Request
from jobs.settings import JobSettings
from launcher.settings import LauncherSettings
from worker.settings import WorkerSettings

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
ENV_EXAMPLE = ROOT / ".env.example"
POSTMAN = ROOT / "docs" / "clients" / "stable-diffusion.postman_collection.json"
HTTP_FILE = ROOT / "docs" / "clients" / "stable-diffusion.http"

ENV_HEADER = """\
# Every setting, with its default. Copy this file to .env and change what you need; the
# environment takes precedence. Written by `make docs`.
"""
# What a schema cannot say by itself.
SPOKEN_DEFAULTS = {
    "type": "the type that is served",
    "prompt": "required",
    "from-file": "`false`",
}
SPOKEN_CHOICES = {
    "type": "one of: standard, optimized",
    "sampler": "a key or label of the table below",
}
S3 = """
# -- OUTPUTS=s3://bucket/folder, read by its client
# keys of an account that may read, write, list and delete there
# AWS_ACCESS_KEY_ID=
# AWS_SECRET_ACCESS_KEY=
# region of the bucket
# AWS_DEFAULT_REGION=
# URL of an S3-compatible server, such as MinIO: http://host:port; empty: AWS
# AWS_ENDPOINT_URL=
"""
SECTIONS: tuple[tuple[str, type[BaseSettings]], ...] = (
    ("make up", LauncherSettings),
    ("API and workers", JobSettings),
    ("API", ApiSettings),
    ("workers", WorkerSettings),
    ("docker-compose", ComposeVariables),
)


def parameters() -> str:
    """The parameters of both endpoints and both types as a Markdown table."""
    text = _properties(SCHEMAS["txt2img"]["standard"])
    image = _properties(SCHEMAS["img2img"]["standard"])
    optimized = _properties(SCHEMAS["img2img"]["optimized"])
    rows = ["| parameter | accepts | default | |", "|---|---|---|---|"]
    for name, schema in image.items():
        only = "" if name in text else "img2img: "
        only += "" if name in optimized else "type standard only: "
        default = SPOKEN_DEFAULTS.get(name) or _default(schema)
        if name in text and _default(text[name]) != _default(schema):
            default = f"{_default(text[name])}; img2img {default}"
        accepts = SPOKEN_CHOICES.get(name) or expected_of(schema).replace("|", "\\|")
        rows.append(f"| `{name}` | {accepts} | {default} | {only}{schema['description']} |")
    return "\n".join(rows)


def samplers() -> str:
    """The samplers and their keys as a Markdown table."""
    rows = ["| sampler | keys |", "|---|---|"]
    for sampler in SAMPLERS:
        keys = ", ".join(f"`{key}`" for key in (sampler.key, *sampler.aliases))
        rows.append(f"| {sampler.label} | {keys} |")
    return "\n".join(rows)


def settings() -> str:
    """Every setting of every process, as .env.example."""
    told: set[str] = set()
    lines = [ENV_HEADER]
    for title, kind in SECTIONS:
        lines.append(f"\n# -- {title}\n")
        for name, field in kind.model_fields.items():
            if name not in told:
                told.add(name)
                lines.append(f"# {field.description}\n# {name.upper()}={_plain(field.default)}\n")
    return "".join(lines) + S3


def readme(current: str) -> str:
    """The README with its tables as the code has them now."""
    for name, table in (("parameters", parameters()), ("samplers", samplers())):
        block = re.compile(f"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        current, found = block.subn(lambda match, t=table: f"{match[1]}{t}\n{match[2]}", current)
        if found != 1:
            raise ValueError(f"the README has {found} places for the table {name!r}")
    return current


def requests() -> dict[Path, str]:
    """An example of every operation, for Postman and for editors: file to text."""
    made = list(examples(openapi()))
    return {POSTMAN: collection(made), HTTP_FILE: http_file(made)}


def main() -> None:
    """Write all files."""
    README.write_text(readme(README.read_text()))
    ENV_EXAMPLE.write_text(settings())
    POSTMAN.parent.mkdir(exist_ok=True)
    for path, text in requests().items():
        path.write_text(text)


def _properties(schema: type[Request]) -> dict[str, dict[str, Any]]:
    return schema.model_json_schema(by_alias=True)["properties"]


def _default(schema: dict[str, Any]) -> str:
    if schema.get("default") is None:
        return "required" if "default" not in schema else "none"
    return f"`{json.dumps(schema['default'])}`"


def _plain(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(str(part) for part in value)
    return "" if value in (None, Path()) else str(value)


if __name__ == "__main__":
    main()
