"""The tables of docs/parameters.md: parameters, samplers and schedulers; and an example."""

import json
from pathlib import Path
from typing import Any

from jobs.names import SAMPLERS, SCHEDULERS
from jobs.parameters.output import OUTPUT_FIELDS
from jobs.parameters.schemas import SCHEMAS, AnyRequest
from jobs.validation.validation_faults import expected_of
from stable_diffusion.sampler_table import SamplerRow
from stable_diffusion.scheduler_table import SchedulerRow

EXAMPLE = Path(__file__).parents[1] / "templates" / "txt2img-optimized.json"
# Where the JSON schema alone would mislead a reader.
DEFAULTS = {
    "type": "`optimized`; if no worker serves it, the served type",
    "prompt": "required",
    "from-file": "`false`",
}
FIRST = ("type", "prompt", "negative_prompt")
HEAD, RULE = "| parameter | accepts | default | meaning |", "|---|---|---|---|"
CHOICES = {
    "type": "one of: standard, optimized",
    "sampler": "a key or label of [the samplers](#samplers)",
    "scheduler": "a key or label of [the schedulers](#schedulers)",
    "vary": "an object of one or two fields, each with a list of values; or null",
}


def parameters() -> str:
    """The parameters of /generate and /img2img, of both types, as a Markdown table."""
    text = _properties(SCHEMAS["txt2img"]["standard"])
    image = _properties(SCHEMAS["img2img"]["standard"])
    optimized = _properties(SCHEMAS["img2img"]["optimized"])
    rows = [HEAD, RULE]
    for name in sorted(image, key=lambda name: name not in FIRST):
        schema = image[name]
        only = "" if name in text else "img2img: "
        only += "" if name in optimized else "type standard only: "
        default = DEFAULTS.get(name) or _default(schema)
        if name in text and _default(text[name]) != _default(schema):
            default = f"{_default(text[name])}; img2img {default}"
        rows.append(_row(name, schema, default, only))
    return "\n".join(rows)


def upscale_parameters() -> str:
    """The parameters of /upscale as a Markdown table."""
    properties = _properties(SCHEMAS["upscale"]["standard"])
    own = {"init_img", "upscale_by", "upscaler", *OUTPUT_FIELDS}
    rows = [HEAD, RULE]
    for name in sorted(properties, key=lambda name: name not in own):
        schema = properties[name]
        rows.append(_row(name, schema, DEFAULTS.get(name) or _default(schema)))
    return "\n".join(rows)


def samplers() -> str:
    """The samplers, their keys and what they take as a Markdown table."""
    rows = ["| sampler | keys | takes |", "|---|---|---|"]
    for sampler in SAMPLERS:
        takes = ", ".join(f"`{name}`" for name in sorted(sampler.takes)) or "none of these"
        rows.append(f"| {sampler.label} | {_keys(sampler)} | {takes} |")
    return "\n".join(rows)


def schedulers() -> str:
    """The schedulers and their keys as a Markdown table."""
    rows = ["| scheduler | keys |", "|---|---|"]
    rows += [f"| {scheduler.label} | {_keys(scheduler)} |" for scheduler in SCHEDULERS]
    return "\n".join(rows)


def _keys(row: SamplerRow | SchedulerRow) -> str:
    return ", ".join(f"`{key}`" for key in (row.key, *row.aliases))


def example_request() -> str:
    """The text-to-image template as a Markdown code block."""
    return f"```json\n{EXAMPLE.read_text().strip()}\n```"


def _properties(schema: type[AnyRequest]) -> dict[str, dict[str, Any]]:
    return schema.model_json_schema(by_alias=True)["properties"]


def _row(name: str, schema: dict[str, Any], default: str, only: str = "") -> str:
    accepts = CHOICES.get(name) or expected_of(schema).replace("|", "\\|")
    return f"| `{name}` | {accepts} | {default} | {only}{schema['description']} |"


def _default(schema: dict[str, Any]) -> str:
    if schema.get("default") is None:
        return "required" if "default" not in schema else "none"
    return f"`{json.dumps(schema['default'])}`"
