"""Recognises few-step models and LoRAs by their names, from the table `few_step.toml`."""

import re
import tomllib
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from jobs.model_defaults import Defaults
from worker.models.defaults_file import LoraTable

TABLE = Path(__file__).with_name("few_step.toml")
Kind = Literal["lora", "model"]
_SEPARATORS = re.compile(r"[\s_.]+")
_CAMEL_CASE = re.compile(r"(?<=[a-z\d])(?=[A-Z])")
_LONGEST_NAME = 256
"""Characters in which a name is searched: metadata may have any length."""


class FewStep(NamedTuple):
    """What is known by a name: the row of the table, 0 being the first, and what it says."""

    row: int
    defaults: Defaults


class Row(LoraTable):
    """A row of the table."""

    pattern: re.Pattern[str]


@lru_cache(maxsize=4096)
def few_step(kind: Kind, names: tuple[str, ...]) -> FewStep | None:
    """What is known of a LoRA or a model with these names; None: nothing."""
    written = [text for name in names for text in _written(name[:_LONGEST_NAME])]
    for number, row in enumerate(rows()[kind]):
        for text in written:
            if found := row.pattern.search(text):
                wanted: dict[str, Any] = {}
                if steps := found.groupdict().get("steps"):
                    wanted = {"steps": int(steps), "max_steps": 2 * int(steps)}
                wanted |= row.model_dump(exclude={"pattern"}, exclude_none=True)
                return FewStep(number, Defaults(**wanted))
    return None


def _written(name: str) -> tuple[str, str]:
    """A name as the patterns have it, without and with its words in CamelCase apart."""
    plain, apart = (
        _SEPARATORS.sub("-", each).lower() for each in (name, _CAMEL_CASE.sub("-", name))
    )
    return plain, apart


@cache
def rows() -> dict[Kind, tuple[Row, ...]]:
    """The table."""
    content = tomllib.loads(TABLE.read_text())
    kinds: tuple[Kind, ...] = ("lora", "model")
    return {
        kind: tuple(
            Row.model_validate({**row, "pattern": re.compile(row["pattern"])})
            for row in content[kind]
        )
        for kind in kinds
    }
